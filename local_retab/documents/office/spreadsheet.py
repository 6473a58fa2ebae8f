"""Workbooks (xlsx, xls, ods): a page for each visible sheet. Calamine, which is used here only, is compiled Rust."""

from __future__ import annotations

import datetime
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from python_calamine import CalamineWorkbook, PasswordError, SheetTypeEnum, SheetVisibleEnum

from local_retab.documents.anchors import Place, SpreadsheetCell, column_letters
from local_retab.documents.clock import ReadingClock
from local_retab.documents.containers import ZIP_SIGNATURES
from local_retab.documents.document import Document
from local_retab.documents.office.archive import checked_archive
from local_retab.documents.office.page import PageText
from local_retab.errors import CorruptDocumentError, DocumentLimitError, EncryptedDocumentError
from local_retab.settings import Settings

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

_ROWS_PER_CHECK = 500
_MAX_CELLS = 20_000_000
"""Cells of the rectangle that a sheet spans, empty ones included: what calamine allocates, at 24 bytes each."""
_CELL = re.compile(rb"<c\s[^>]{0,80}?r=\"([A-Z]{1,3})(\d{1,7})\"")

Value = int | float | str | bool | datetime.time | datetime.date | datetime.datetime | datetime.timedelta


def read(document: Document, settings: Settings, clock: ReadingClock) -> Iterator[PageText]:
    """Hidden sheets and sheets that are charts are left out; ``sheet_index`` counts them all the same."""
    if document.data.startswith(ZIP_SIGNATURES):
        with checked_archive(document, settings) as archive:
            for name in archive.namelist():
                if name.startswith("xl/worksheets/") and name.endswith(".xml"):
                    _check_extent(document, name, archive.read(name))
    with _calamine(document):
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(document.data))
    sheets = [
        (index, sheet.name)
        for index, sheet in enumerate(workbook.sheets_metadata)
        if sheet.visible == SheetVisibleEnum.Visible and sheet.typ == SheetTypeEnum.WorkSheet
    ]
    for index, name in sheets:
        with _calamine(document):
            sheet = workbook.get_sheet_by_index(index)
        yield _page(sheet, index, name, clock, titled=len(sheets) > 1)


def _check_extent(document: Document, name: str, part: bytes) -> None:
    """Refuse a sheet whose cells lie far apart before calamine allocates the rectangle that they span."""
    rows = columns = 0
    for letters, number in _CELL.findall(part):
        rows = max(rows, int(number))
        columns = max(columns, _column_number(letters))
    if rows * columns > _MAX_CELLS:
        raise DocumentLimitError(
            f"{document.filename!r} has a sheet ({name}) of {rows:,} rows and {columns:,} columns, most of them empty."
            " Remove the cells far out, or save the part that matters as a sheet of its own."
        )


@lru_cache(maxsize=1024)
def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + letter - ord("A") + 1
    return number


@contextmanager
def _calamine(document: Document) -> Iterator[None]:
    try:
        yield
    except PasswordError as error:
        raise EncryptedDocumentError(
            f"{document.filename!r} is protected by a password. Save a copy without protection and send that."
        ) from error
    except BaseException as error:
        # A panic in Rust is not an Exception, and its class can be had by name only.
        if type(error).__name__ != "PanicException":
            raise
        raise CorruptDocumentError(
            f"{document.filename!r} cannot be read: it is damaged. Open it in its program and save it again."
        ) from error


def _page(sheet: CalamineSheet, index: int, name: str, clock: ReadingClock, *, titled: bool) -> PageText:
    page = PageText()
    if sheet.start is None:
        return page
    first_row, first_column = sheet.start
    if titled:
        page.write(f"Sheet: {name}\n")
    apart = False
    for row, values in enumerate(sheet.to_python(), first_row + 1):
        if row % _ROWS_PER_CHECK == 0:
            clock.check()
        cells: list[tuple[str, Place | None]] = [
            (shown(value), SpreadsheetCell(index, name, row, column_letters(first_column + at)))
            for at, value in enumerate(values)
        ]
        if any(text for text, _ in cells):
            page.write_row(cells)
            apart = True
        elif apart:
            page.write("\n")
            apart = False
    return page


def shown(value: Value) -> str:
    """A cell's value as text: whole numbers without a point, others to the 15 digits that Excel keeps, ISO dates."""
    match value:
        case bool():
            return str(value).upper()
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.15g}"
        case datetime.datetime():
            if value.time() == datetime.time():
                return value.date().isoformat()
            return value.isoformat(sep=" ", timespec="seconds" if value.second else "minutes")
        case _:
            return str(value)
