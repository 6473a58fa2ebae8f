"""Running heads and feet are read once."""

from __future__ import annotations

import pytest
from chunking_pages import lines_of

from local_retab.extraction.chunking.running_heads import repeated_heads


def heads_of(*pages: str) -> list[tuple[int, str]]:
    """Page and text of each line that repeats a head."""
    texts = [line for page in pages for line in page.split("\n")]
    starts = [sum(page.count("\n") + 1 for page in pages[:number]) for number in range(len(pages))]
    owner = [number for number, page in enumerate(pages) for _ in page.split("\n")]
    return [(owner[line], texts[line]) for line in sorted(repeated_heads(texts, starts))]


def test_the_first_page_keeps_its_head_and_foot() -> None:
    pages = [
        f"1/27/26, 3:25 PM      Credit Agreement | Amazon\n\nText {text} of the page\n\nsite.example/66     {number}/5"
        for number, text in enumerate("abcde", start=1)
    ]
    found = heads_of(*pages)
    assert [page for page, _ in found] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert all("Amazon" in text or "site.example" in text for _, text in found)


@pytest.mark.parametrize(
    "line",
    [
        "Item {other}    12.{other}",
        "Paid on 2024-01-{other} by card and booked",
        "Date    Reference    Amount 2024",
        "Name    Amount",
        "{number}",
        "",
    ],
)
def test_rows_and_the_names_of_columns_do_not_run(line: str) -> None:
    pages = [f"{line.format(number=n, other=17 * n % 29 + 10)}\nPage text {'x' * n}\nmore" for n in range(1, 9)]
    assert heads_of(*pages) == ([(n - 1, str(n)) for n in range(2, 9)] if line == "{number}" else [])


def test_most_pages_are_enough_and_few_pages_have_none() -> None:
    pages = [f"Acme Bank, account 4711, page {number}\ntext" for number in range(1, 6)]
    assert [page for page, _ in heads_of(*pages[:3], "Other\ntext", *pages[4:])] == [1, 2, 4]
    assert heads_of(*pages[:3]) == []
    assert heads_of(*pages[:2], *["Other\ntext"] * 3) == []


def test_a_head_amid_the_page_is_text() -> None:
    page = "a\nb\nc\nAcme Bank, account 4711\nd\ne\nf"
    assert heads_of(*[page] * 6) == []


def test_what_is_left_of_a_window_is_shown_and_of_an_empty_one_all() -> None:
    lines = lines_of(*(f"Acme Bank, account 4711\ntext {'x' * number}" for number in range(5)))
    assert lines.without_heads(range(len(lines))) == [0, 1, 3, 5, 7, 9]
    assert lines.without_heads([4]) == [4]
    assert lines.without_heads([2, 4, 5]) == [2, 5]  # a page that a window has for its image alone stays in it
