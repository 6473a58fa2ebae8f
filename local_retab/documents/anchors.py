"""Where in a file without pixels a piece of its text stands: spreadsheet and CSV cells, Word paragraphs and cells."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, TypeAlias


@dataclass(frozen=True, slots=True)
class CsvCell:
    """A field of a CSV file; ``row`` counts from 1, ``column`` is letters as in a spreadsheet."""

    kind: ClassVar[str] = "csv_cell"
    row: int
    column: str


@dataclass(frozen=True, slots=True)
class SpreadsheetCell:
    """A cell of a workbook; ``sheet_index`` counts all its sheets from 0, ``row`` from 1, ``column`` is letters."""

    kind: ClassVar[str] = "spreadsheet_cell"
    sheet_index: int
    sheet_name: str
    row: int
    column: str


@dataclass(frozen=True, slots=True)
class DocxParagraph:
    """A paragraph of a Word document's body outside its tables, from 0."""

    kind: ClassVar[str] = "docx_text_span"
    paragraph: int


@dataclass(frozen=True, slots=True)
class DocxTableCell:
    """A cell of a table of a Word document's body; table, row and grid column count from 0."""

    kind: ClassVar[str] = "docx_table_cell"
    table: int
    row: int
    column: int


Place: TypeAlias = "CsvCell | SpreadsheetCell | DocxParagraph | DocxTableCell"
PLACES: tuple[type[Place], ...] = (CsvCell, SpreadsheetCell, DocxParagraph, DocxTableCell)


@dataclass(frozen=True, slots=True)
class Anchor:
    """``text[start:end]`` of a page stands at ``place`` in the file, in the names and bases of the wire's anchors."""

    start: int
    end: int
    place: Place


def anchors_of(anchors: Sequence[Anchor], start: int, end: int) -> Sequence[Anchor]:
    """The anchors that ``text[start:end]`` touches. ``anchors`` are those of a page: in order, none overlapping."""
    first = bisect_right(anchors, start, key=lambda anchor: anchor.end)
    last = first
    while last < len(anchors) and anchors[last].start < end:
        last += 1
    return anchors[first:last]


@lru_cache(maxsize=1024)
def column_letters(index: int) -> str:
    """The letters of a spreadsheet column from its index, which counts from 0: A to Z, AA, AB."""
    letters = ""
    number = index + 1
    while number:
        number, digit = divmod(number - 1, 26)
        letters = chr(ord("A") + digit) + letters
    return letters
