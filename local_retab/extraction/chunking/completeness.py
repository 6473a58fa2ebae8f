"""What of a document's rows is in the result: a shortfall is told, not hidden."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from local_retab.wire import ExtractionNotice

if TYPE_CHECKING:
    from local_retab.extraction.chunking.lines import DocumentLines

_MOST_PAGES = 10
_CLEARLY_ROWS = 0.5
"""From this share of them on, the lines that look like rows are what the array lists."""


def missing_rows(rows: Sequence[int], places: Iterable[int | None]) -> list[int]:
    """The ``rows`` without an item. An item covers the row that it stands on or, where that has several lines, the
    last row above its line."""
    covered = set()
    for line in places:
        at = 0 if line is None else bisect_right(rows, line)
        if at:
            covered.add(rows[at - 1])
    return [row for row in rows if row not in covered]


def row_notices(
    rows: Sequence[int], items: dict[str, list[int | None]], lines: DocumentLines, *, asked: bool
) -> list[ExtractionNotice]:
    """That rows are missing from the longest array, if it is one of rows: at least half of them, or ``asked`` for."""
    if not rows or not items:
        return []
    pointer = max(items, key=lambda pointer: len(items[pointer]))
    places = [line for found in items.values() for line in found]
    missing = missing_rows(rows, places)
    if not missing or (not asked and len(missing) > (1 - _CLEARLY_ROWS) * len(rows)):
        return []
    pages = Counter(lines.page_number(row) for row in missing)
    where = ", ".join(f"{page} ({count})" for page, count in list(pages.items())[:_MOST_PAGES])
    more = ", …" if len(pages) > _MOST_PAGES else ""
    return [
        ExtractionNotice(
            code="ROWS_MISSING",
            path=pointer,
            message=f"{len(rows)} lines of the document look like rows, and {len(missing)} of them have no item. "
            f"Pages, with the number of such lines: {where}{more}. Look there, or use a larger model.",
        )
    ]
