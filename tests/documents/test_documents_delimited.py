from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_retab.documents import Page, load, pages
from local_retab.documents.anchors import CsvCell, anchors_of, column_letters
from local_retab.settings import Settings

Read = Callable[..., list[Page]]


@pytest.mark.parametrize(
    "data",
    [
        b"Item,Price,Sold\nPen,1.20,3\nInk,4.00,5\n",
        b"Item;Price;Sold\r\nPen;1.20;3\r\nInk;4.00;5\r\n",
        b"Item\tPrice\tSold\nPen\t1.20\t3\nInk\t4.00\t5\n",
        b'"Item"|"Price"|"Sold"\n"Pen"|"1.20"|"3"\n"Ink"|"4.00"|"5"\n',
        "Item,Price,Sold\nPen,1.20,3\nInk,4.00,5\n".encode("utf-16"),
    ],
)
def test_every_dialect_gives_the_same_table(data: bytes, read: Read) -> None:
    (page,) = read(data, "table.csv")
    assert page.text == "Item | Price | Sold\nPen | 1.20 | 3\nInk | 4.00 | 5\n"
    places = {page.text[anchor.start : anchor.end]: anchor.place for anchor in page.anchors}
    assert places["Item"] == CsvCell(1, "A")
    assert places["4.00"] == CsvCell(3, "B")


def test_quoted_fields_hold_delimiters_and_lines(read: Read) -> None:
    (page,) = read(b'Name,Address\n"Smith, J","1 High St\nLondon"\n"Jones, K",x\n', "a.csv")
    assert page.text == "Name | Address\nSmith, J | 1 High St London\nJones, K | x\n"


def test_decimal_commas_do_not_split(read: Read) -> None:
    (page,) = read(b"Artikel;Preis\nStift;1,20\nTinte;4,00\n", "a.csv")
    assert page.text == "Artikel | Preis\nStift | 1,20\nTinte | 4,00\n"


def test_prose_stays_prose(read: Read) -> None:
    (page,) = read(b"Dear Ann\nthe parcel came\nBob\n", "a.csv")
    assert page.text == "Dear Ann\nthe parcel came\nBob\n"


def test_a_quote_that_is_not_closed_swallows_nothing(read: Read) -> None:
    rows = b"".join(b"row %d,x\n" % index for index in range(20_000))
    (page,) = read(b'item,"size\n' + rows, "a.csv")
    assert page.text.splitlines()[1:3] == ["row 0 | x", "row 1 | x"]
    assert len(page.text.splitlines()) == 20_001


def test_tsv_without_a_tab_is_one_column(read: Read) -> None:
    assert read(b"one\ntwo\n", "a.tsv")[0].text == "one\ntwo\n"


@given(st.lists(st.lists(st.text("ab1. ", max_size=4), min_size=1, max_size=4), min_size=1, max_size=8))
def test_an_anchor_holds_exactly_its_field(rows: list[list[str]]) -> None:
    data = "\n".join(",".join(row) for row in [["head", "x"], *rows]).encode()
    (page,) = pages(load(data, filename="a.csv", settings=Settings()), dpi=72, settings=Settings())
    ends = 0
    for anchor in page.anchors:
        assert ends <= anchor.start < anchor.end <= len(page.text)
        assert list(anchors_of(page.anchors, anchor.start, anchor.end)) == [anchor]
        ends = anchor.end


@pytest.mark.parametrize(
    ("index", "letters"), [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA"), (16383, "XFD")]
)
def test_column_letters(index: int, letters: str) -> None:
    assert column_letters(index) == letters
