"""Values that small models write where they mean null, at places that may be null."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from local_retab.extraction.readings import printed_numbers
from local_retab.extraction.spots import PageWords

if TYPE_CHECKING:
    from pydantic import JsonValue

    from local_retab.documents import Page

WORDS = ("", "null", "not stated", "n/a", "not specified", "not provided", "not available")
COUNTABLE = 100
"""Whole numbers below it may be counts, which are not printed."""


class Absence:
    """Knows the words for null, and the numbers of a document.

    A number that is not printed was computed or made up. Where the field may be null that is the answer to "what does
    the document state". ``pages`` None leaves numbers alone, for documents whose text is not known.
    """

    def __init__(self, pages: Sequence[Page] | None) -> None:
        self._printed = None if pages is None else frozenset(_printed(pages))

    def may_begin(self, text: str) -> bool:
        """Whether a string that begins so may still turn out to be a word for null."""
        folded = text.strip().casefold()
        return any(word.startswith(folded) for word in WORDS)

    def is_meant(self, value: JsonValue) -> bool:
        """Whether a finished scalar stands for null."""
        if isinstance(value, str):
            return value.strip().casefold() in WORDS
        if self._printed is None or not isinstance(value, int | float) or isinstance(value, bool):
            return False
        if value == int(value) and abs(value) < COUNTABLE and isinstance(value, int):
            return False
        return round(abs(value), 6) not in self._printed


def _printed(pages: Sequence[Page]) -> set[float]:
    found: set[float] = set()
    for page in map(PageWords.of, pages):
        for row in page.rows:
            found.update(printed_numbers([page.words[index].text for index in row]))
    return found
