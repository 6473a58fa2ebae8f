"""A document as lines of text, numbered from 0 over all its pages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

from local_retab.extraction.chunking.running_heads import repeated_heads
from local_retab.extraction.folding import folded
from local_retab.extraction.readings import dates, printed_numbers

if TYPE_CHECKING:
    from pydantic import JsonValue

    from local_retab.documents import Page

MAX_LINE_CHARS = 2000
"""A longer line is cut at blanks, as lines are the smallest parts that a document is cut into."""
_WORD = re.compile(r"\w+")
_SHORT = 3
"""Characters; so short a text is found inside many words."""
_FIRST_WORDS = 3
"""A text may go on in the next line; so many words of it say where it begins."""


class PrintedLine:
    """What a line shows."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def _folded(self) -> str:
        return f" {folded(self.text)} "

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(_WORD.findall(self._folded))

    @cached_property
    def _numbers(self) -> frozenset[float]:
        return frozenset(printed_numbers(self.text.split()))

    def shows(self, value: JsonValue) -> bool:
        """Whether a scalar is printed here, or begins here: a number or date in any form, a text in any case.

        True, false and null are never printed. Short texts must be whole words.
        """
        if isinstance(value, int | float) and not isinstance(value, bool):
            return round(abs(value), 6) in self._numbers
        if not isinstance(value, str) or not (words := value.casefold().split()):
            return False
        text = " ".join(words)
        if len(text) <= _SHORT:
            return text in self._words or f" {text} " in self._folded
        if text in self._folded:
            return True
        if len(words) > _FIRST_WORDS:
            return " ".join(words[:_FIRST_WORDS]) in self._folded
        # Not kept: what a line says of dates is asked once or twice.
        return text[0].isdigit() and not dates(text).isdisjoint(dates(self.text))


class DocumentLines:
    """The lines of ``pages``, which keep their texts, images and words."""

    def __init__(self, pages: Sequence[Page]) -> None:
        self.pages = pages
        self.texts: list[str] = []
        self.starts: list[int] = []
        """The first line of each page."""
        self._page_of: list[int] = []
        for place, page in enumerate(pages):
            self.starts.append(len(self.texts))
            for line in page.text.split("\n"):
                self.texts += _pieces(line)
            self._page_of += [place] * (len(self.texts) - self.starts[-1])
        self._printed: dict[int, PrintedLine] = {}

    def __len__(self) -> int:
        return len(self.texts)

    def page_of(self, line: int) -> int:
        """The index into ``pages`` of the page that a line is on."""
        return self._page_of[line]

    def page_number(self, line: int) -> int:
        """The number of the page that a line is on."""
        return self.pages[self._page_of[line]].number

    def end_of_page(self, place: int) -> int:
        """One after the last line of a page."""
        return self.starts[place + 1] if place + 1 < len(self.starts) else len(self.texts)

    def printed(self, line: int) -> PrintedLine:
        """What a line shows; kept, as neighbours in several windows ask for it."""
        return self._printed.setdefault(line, PrintedLine(self.texts[line]))

    def forget_before(self, line: int) -> None:
        """Let go of what was kept of the lines before this one."""
        for known in [known for known in self._printed if known < line]:
            del self._printed[known]

    @cached_property
    def _heads(self) -> frozenset[int]:
        return repeated_heads(self.texts, self.starts)

    def without_heads(self, lines: Sequence[int]) -> Sequence[int]:
        """``lines`` without running heads and feet that earlier pages have; a page of nothing else keeps them."""
        kept = {self.page_of(line) for line in lines if line not in self._heads and self.texts[line].strip()}
        return [line for line in lines if line not in self._heads or self.page_of(line) not in kept]

    def as_pages(self, lines: Sequence[int]) -> list[Page]:
        """The pages that ``lines``, in their order, are on, each with the text of these lines alone."""
        found: list[Page] = []
        for place, group in groupby(lines, key=self.page_of):
            here = list(group)
            page = self.pages[place]
            whole = len(here) == self.end_of_page(place) - self.starts[place]
            found.append(page if whole else replace(page, text="\n".join(self.texts[line] for line in here)))
        return found


def _pieces(line: str) -> Iterator[str]:
    while len(line) > MAX_LINE_CHARS:
        cut = line.rfind(" ", 1, MAX_LINE_CHARS) + 1 or MAX_LINE_CHARS
        yield line[:cut]
        line = line[cut:]
    yield line
