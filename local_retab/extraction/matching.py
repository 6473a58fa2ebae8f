"""Where a value may be printed: candidates among the words of a document, by the kind of the value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from local_retab.extraction.currencies import CURRENCIES
from local_retab.extraction.readings import dates, numbers
from local_retab.extraction.spots import PageWords, Span, Stream, bare

if TYPE_CHECKING:
    from pydantic import JsonValue

EXACT, PART, ALIKE = 1.0, 0.8, 0.7
"""Whole words; inside a word, or with the other sign; most of the characters."""
MAX_CANDIDATES = 200
_ALIKE_RATIO = 85.0
_MIN_ALIKE_CHARS = 6
_DATE_WORDS = 6
_THOUSANDS = re.compile(r"^\D{0,4}\d{1,3}$")
_GROUP = re.compile(r"^\d{3}(?!\d)")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place, and how well what is printed there is the value: EXACT, PART or ALIKE."""

    span: Span
    exactness: float


class Finder:
    """Searches the pages of one document."""

    def __init__(self, pages: Sequence[PageWords]) -> None:
        self.pages = {page.number: page for page in pages}

    def find(self, value: JsonValue, *, is_date: bool) -> list[Candidate]:
        """Places of a scalar, best kind of match first found; none for true, false and null, which are not printed."""
        if isinstance(value, bool) or value is None or isinstance(value, list | dict):
            return []
        if isinstance(value, int | float):
            found = self._numbers(float(value))
            return found or self._text(str(value), alike=False)
        if is_date or re.match(r"\d{4}-\d{2}-\d{2}", value):
            found = self._days(value)
            if found:
                return found
        return (
            self._text(value, alike=False)
            or self._days(value)
            or self._currency(value)
            or self._text(value, alike=True)
        )

    @cached_property
    def _streams(self) -> list[Stream]:
        """Each page in the order of its file, by rows, and by blocks: a value may run on in any of them."""
        streams: list[Stream] = []
        for page in self.pages.values():
            by_rows, by_blocks = tuple(chain(*page.rows)), tuple(chain(*page.blocks))
            orders = dict.fromkeys((tuple(range(len(page.words))), by_rows, by_blocks))
            streams += [Stream(page, order) for order in orders]
        return streams

    @cached_property
    def _numbers_printed(self) -> dict[float, list[Span]]:
        found: dict[float, list[Span]] = {}
        for page in self.pages.values():
            for row in page.rows:
                for indices in _number_windows(page, row):
                    for value in numbers(page.text(indices).replace(" ", "")):
                        found.setdefault(round(value, 6), []).append(Span(page.number, indices))
        return found

    @cached_property
    def _days_printed(self) -> dict[date, list[Span]]:
        found: dict[date, list[Span]] = {}
        for page in self.pages.values():
            for row in page.rows:
                for start in range(len(row)):
                    for day, span in _dates_from(page, row, start).items():
                        found.setdefault(day, []).append(span)
        return found

    def _numbers(self, value: float) -> list[Candidate]:
        exact = self._numbers_printed.get(round(value, 6), [])
        if exact:
            return [Candidate(span, EXACT) for span in exact[:MAX_CANDIDATES]]
        other = self._numbers_printed.get(round(-value, 6), [])
        return [Candidate(span, PART) for span in other[:MAX_CANDIDATES]]

    def _days(self, text: str) -> list[Candidate]:
        spans = [span for day in dates(text) for span in self._days_printed.get(day, [])]
        return [Candidate(span, EXACT) for span in dict.fromkeys(spans)][:MAX_CANDIDATES]

    def _currency(self, code: str) -> list[Candidate]:
        names = CURRENCIES.get(code.upper(), "").split()
        found: dict[Span, None] = {}
        for page in self.pages.values() if names else ():
            for index, word in enumerate(page.words):
                if any(name in word.text.casefold() for name in names):
                    found[Span(page.number, (index,))] = None
        return [Candidate(span, PART) for span in found][:MAX_CANDIDATES]

    def _text(self, value: str, *, alike: bool) -> list[Candidate]:
        needle = bare(value)
        if not needle:
            return []
        found: dict[Span, float] = {}
        for stream in self._streams:
            for span, exactness in _alike(stream, needle, value) if alike else _printed(stream, needle):
                found[span] = max(exactness, found.get(span, 0.0))
                if len(found) > MAX_CANDIDATES:
                    break
        best = max(found.values(), default=0.0)
        return [Candidate(span, exactness) for span, exactness in found.items() if exactness == best]


def _printed(stream: Stream, needle: str) -> Iterator[tuple[Span, float]]:
    for span, whole in stream.find(needle):
        if whole or len(needle) > 3:
            yield span, EXACT if whole else PART


def _alike(stream: Stream, needle: str, value: str) -> Iterator[tuple[Span, float]]:
    from rapidfuzz import fuzz

    if len(needle) < _MIN_ALIKE_CHARS or not any(
        word in stream.text for word in map(bare, value.split()) if len(word) > 2
    ):
        return
    found = fuzz.partial_ratio_alignment(needle, stream.text, score_cutoff=_ALIKE_RATIO)
    if found is not None and found.dest_end - found.dest_start >= 0.7 * len(needle):
        yield stream.span(found.dest_start, found.dest_end), ALIKE


def _number_windows(page: PageWords, row: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Words with digits, and runs like "1 234,50" whose blanks stand for thousands."""
    for place, index in enumerate(row):
        text = page.words[index].text
        if not any(char.isdigit() for char in text):
            continue
        yield (index,)
        end = place + 1
        while _THOUSANDS.match(text) and end < len(row) and _GROUP.match(page.words[row[end]].text):
            end += 1
            yield tuple(row[place:end])


def _dates_from(page: PageWords, row: Sequence[int], start: int) -> dict[date, Span]:
    """The days that are written from a word on, each in as few words as say it."""
    found: dict[date, Span] = {}
    for end in range(start + 1, min(start + _DATE_WORDS, len(row)) + 1):
        indices = tuple(row[start:end])
        # Dates that the words without the first one say begin later.
        new = dates(page.text(indices)) - (dates(page.text(indices[1:])) if len(indices) > 1 else frozenset())
        for day in new - found.keys():
            found[day] = Span(page.number, indices)
    return found
