"""What small models write and do not mean: words, numbers, dates and echoes for null, at places that may be null, and
numbers with the decimal point where the document has a separator of thousands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from local_retab.extraction.echoes import Echoes
from local_retab.extraction.readings import DateParts, dates, printed_numbers, slips
from local_retab.extraction.spots import PageWords

if TYPE_CHECKING:
    from pydantic import JsonValue

    from local_retab.documents import Page

WORDS = ("", "null", "not stated", "n/a", "not specified", "not provided", "not available", "unknown")
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_BEGUN_DATE = re.compile(r"[0-9]{1,4}|[0-9]{4}-[0-9]{0,2}|[0-9]{4}-[0-9]{2}-[0-9]{0,2}")
COUNTABLE = 100
"""Whole numbers below it may be counts, which are not printed."""


class Absence:
    """Knows the words for null, and the numbers and dates of a document.

    A number that is not printed was computed or made up, and so was a date in ISO 8601. Where the field may be null
    that is the answer to "what does the document state". ``pages`` None leaves both alone, for documents whose text is
    not known. ``told`` are the texts that describe the fields, whose echo is no answer.
    """

    def __init__(self, pages: Sequence[Page] | None, told: Sequence[str] = ()) -> None:
        rows = list(_rows(pages or ()))
        self._echoes = None if pages is None else Echoes(told, rows)
        self._printed = None if pages is None else {value for row in rows for value in printed_numbers(row)}
        self._rows = rows
        self._slips = dict(slip for row in rows for word in row for slip in slips(word))

    def read(self, written: str, value: float) -> float:
        """A finished number as the document has it: it is told by its digits where the point has slipped."""
        meant = self._slips.get(written.removeprefix("-"))
        if meant is None or self._printed is None or round(abs(value), 6) in self._printed:
            return value
        return -meant if written.startswith("-") else meant

    def may_begin(self, text: str) -> bool:
        """Whether a string that begins so may still turn out to stand for null."""
        folded = text.strip().casefold()
        if any(word.startswith(folded) for word in WORDS) or _BEGUN_DATE.fullmatch(folded):
            return True
        return self._echoes is not None and self._echoes.may_begin(folded)

    def is_meant(self, value: JsonValue) -> bool:
        """Whether a finished scalar stands for null."""
        if isinstance(value, str):
            echo = self._echoes is not None and self._echoes.is_echo(value)
            return value.strip().casefold() in WORDS or self._made_up(value.strip()) or echo
        if self._printed is None or not isinstance(value, int | float) or isinstance(value, bool):
            return False
        if value == int(value) and abs(value) < COUNTABLE and isinstance(value, int):
            return False
        return round(abs(value), 6) not in self._printed

    @cached_property
    def _dates(self) -> _Dates:
        """Read with the first date, as most answers are of documents in parts, and many of none."""
        return _Dates(self._rows)

    def _made_up(self, text: str) -> bool:
        """Whether a text is a date that is not printed."""
        if self._printed is None or _ISO_DATE.fullmatch(text) is None:
            return False
        try:
            return date.fromisoformat(text) not in self._dates
        except ValueError:
            return False


class _Dates:
    """The days that rows of words can show: as one date, or as year, month and day anywhere in two rows in a row, as
    forms and legal texts have them."""

    def __init__(self, rows: Sequence[Sequence[str]]) -> None:
        self._whole = {day for row in rows for day in dates(" ".join(row))}
        parts = [DateParts.of(row) for row in rows]
        self._near = [one.with_next(other) for one, other in pairwise([*parts, DateParts.of(())])]

    def __contains__(self, day: date) -> bool:
        return day in self._whole or any(parts.show(day) for parts in self._near)


def _rows(pages: Sequence[Page]) -> Iterator[list[str]]:
    """The words of each row."""
    for page in map(PageWords.of, pages):
        for row in page.rows:
            yield [page.words[index].text for index in row]
