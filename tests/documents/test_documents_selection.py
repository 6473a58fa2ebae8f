from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from in_process import in_process
from office_files import pptx_file

from local_retab.documents import Document, PageSelection, pages
from local_retab.errors import RequestError

HELLO = "BT /F 12 Tf 20 100 Td (Hello there) Tj ET"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1", [1]),
        ("1-3,7", [1, 2, 3, 7]),
        ("8-", [8, 9]),
        (" 2 , 4 - 5 ", [2, 4, 5]),
        ("3-3", [3]),
        ("1-2,2-3", [1, 2, 3]),
    ],
)
def test_what_is_selected(text: str, numbers: list[int]) -> None:
    selection = PageSelection.parse(text)
    assert [number for number in range(1, 10) if number in selection] == numbers
    assert PageSelection.parse(str(selection)) == selection


@pytest.mark.parametrize(
    "text", ["", "0", "3-1", "a", "1,,2", "-3", "1-2-3", "1.5", "²", "9" * 20, ",".join("1" * 200)]
)
def test_what_is_no_selection(text: str) -> None:
    with pytest.raises(RequestError, match=r"^pages: "):
        PageSelection.parse(text)


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 5)), min_size=1, max_size=6))
def test_a_selection_holds_its_ranges(ranges: list[tuple[int, int]]) -> None:
    selection = PageSelection.parse(",".join(f"{first}-{first + more}" for first, more in ranges))
    expected = {number for first, more in ranges for number in range(first, first + more + 1)}
    assert {number for number in range(1, 60) if number in selection} == expected


def test_only_selected_pages_are_read(loaded: Callable[..., Document], make_pdf: Callable[..., bytes]) -> None:
    pdf = replace(loaded(make_pdf([HELLO] * 5)), selection=PageSelection.parse("2,4-"))
    assert [page.number for page in pages(pdf, dpi=72, settings=in_process(max_pages=3))] == [2, 4, 5]
    slides = replace(loaded(pptx_file(("a", ""), ("b", ""), ("c", "")), "a.pptx"), selection=PageSelection.parse("3,1"))
    assert [page.number for page in pages(slides, dpi=72, settings=in_process(max_pages=2))] == [1, 3]


@pytest.mark.parametrize("name", ["a.pdf", "a.pptx", "a.txt"])
def test_a_selection_of_nothing(name: str, loaded: Callable[..., Document], make_pdf: Callable[..., bytes]) -> None:
    data = {"a.pdf": make_pdf([HELLO]), "a.pptx": pptx_file(("a", "")), "a.txt": b"words"}[name]
    document = replace(loaded(data, name), selection=PageSelection.parse("2-9"))
    with pytest.raises(RequestError, match=rf"pages: '2-9' selects none of the 1 pages of '{name}'"):
        list(pages(document, dpi=72, settings=in_process()))
