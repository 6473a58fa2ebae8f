"""CSV and TSV: fields in any dialect, a line for each record, each field with its cell."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from local_retab.documents.anchors import CsvCell, column_letters
from local_retab.documents.clock import ReadingClock
from local_retab.documents.document import Document
from local_retab.documents.office.page import PageText

_SAMPLE = 16_000
"""Characters that the dialect is told from; detection takes 4 ms per 1,000."""
_DELIMITERS = ",;\t|"
_ROWS_PER_CHECK = 1000


def lay_out_records(document: Document, text: str, clock: ReadingClock) -> PageText:
    """``text`` with its fields apart by bars. Rows count from 1 and include blank ones."""
    page = PageText()
    for row, fields in enumerate(_records(document, text), 1):
        if row % _ROWS_PER_CHECK == 0:
            clock.check()
        page.write_row([(field, CsvCell(row, column_letters(index))) for index, field in enumerate(fields)])
    return page


def _records(document: Document, text: str) -> Iterator[list[str]]:
    delimiter, quote = _dialect(document, text)
    lines = text.splitlines(keepends=True)
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, quotechar=quote, quoting=csv.QUOTE_MINIMAL))
    # A field over the limit: a quote that is not closed swallows the rest of the file.
    except csv.Error:
        rows = [line.rstrip("\n").split(delimiter) for line in lines]
    return iter(rows)


def _dialect(document: Document, text: str) -> tuple[str, str]:
    """Delimiter and quote, by the method of van den Burg and others (2019), as CleverCSV has it."""
    from clevercsv import Detector, Error

    usual = "\t" if document.mime_type == "text/tab-separated-values" else ","
    sample = text[:_SAMPLE]
    if len(text) > _SAMPLE:
        sample = sample[: sample.rfind("\n") + 1] or sample
    try:
        found = Detector().detect(sample, delimiters=_DELIMITERS)
    except Error:  # a NUL, which is not for its parser
        found = None
    if found is None:
        return usual, '"'
    return found.delimiter or usual, found.quotechar or '"'
