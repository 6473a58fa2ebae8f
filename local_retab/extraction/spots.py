"""The words of a document as they can be searched: places with boxes, and runs of words in several reading orders."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING

from local_retab.documents.layout import WordBox

if TYPE_CHECKING:
    from local_retab.documents import Page

_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbouring words of one page: their indices into ``PageWords.words``, in the order of the text."""

    page: int
    words: tuple[int, ...]


@dataclass(frozen=True)
class PageWords:
    """The words of one page. A page of plain text has a grid instead: a character is 1 wide, a line 1 high."""

    number: int
    width: float
    height: float
    words: Sequence[WordBox]

    @classmethod
    def of(cls, page: Page) -> PageWords:
        """A page's words; those of plain text on the grid of its lines and columns."""
        if page.words or not page.text:
            return cls(page.number, page.width, page.height, page.words)
        lines = page.text.split("\n")
        words = [
            WordBox(found[0], found.start(), row, found.end(), row + 1)
            for row, line in enumerate(lines)
            for found in _WORD.finditer(line)
        ]
        return cls(page.number, max(map(len, lines)), len(lines), words)

    @cached_property
    def rows(self) -> list[list[int]]:
        """The words of each line of the page, from left to right."""
        rows: list[list[int]] = []
        bottom = 0.0
        for index in sorted(range(len(self.words)), key=lambda i: (self.middle(i), self.words[i].left)):
            if rows and self.middle(index) <= bottom:
                rows[-1].append(index)
            else:
                rows.append([index])
                box = self.words[index]
                bottom = self.middle(index) + 0.5 * (box.bottom - box.top)
        return [sorted(row, key=lambda i: self.words[i].left) for row in rows]

    @cached_property
    def row_of(self) -> dict[int, int]:
        """The row of each word."""
        return {index: number for number, row in enumerate(self.rows) for index in row}

    @cached_property
    def blocks(self) -> list[list[int]]:
        """The words of each block of text: segments of lines that stand under one another, close together."""
        segments = [segment for row in self.rows for segment in self._segments(row)]
        blocks: list[list[list[int]]] = []
        for segment in segments:
            block = next((b for b in reversed(blocks[-12:]) if self._under(b[-1], segment)), None)
            if block is None:
                blocks.append([segment])
            else:
                block.append(segment)
        return [[index for segment in block for index in segment] for block in blocks]

    def middle(self, index: int) -> float:
        """The height at which a word stands."""
        return (self.words[index].top + self.words[index].bottom) / 2

    def box(self, indices: Sequence[int]) -> tuple[float, float, float, float]:
        """The box around words: left, top, right, bottom."""
        boxes = [self.words[index] for index in indices]
        left, top = min(box.left for box in boxes), min(box.top for box in boxes)
        return left, top, max(box.right for box in boxes), max(box.bottom for box in boxes)

    def text(self, indices: Sequence[int]) -> str:
        """The words joined by blanks."""
        return " ".join(self.words[index].text for index in indices)

    @cached_property
    def line_height(self) -> float:
        return median(word.bottom - word.top for word in self.words) if self.words else 1.0

    def _segments(self, row: Sequence[int]) -> Iterator[list[int]]:
        segment = [row[0]]
        for index in row[1:]:
            if self.words[index].left - self.words[segment[-1]].right > 1.2 * self.line_height:
                yield segment
                segment = []
            segment.append(index)
        yield segment

    def _under(self, upper: Sequence[int], lower: Sequence[int]) -> bool:
        left, top, right, bottom = self.box(upper)
        other_left, other_top, other_right, other_bottom = self.box(lower)
        height = max(bottom - top, other_bottom - other_top)
        close = other_top - bottom <= 0.8 * height
        return close and min(right, other_right) - max(left, other_left) > 0


@dataclass(frozen=True)
class Stream:
    """Words in one reading order as a string of letters and digits alone, with the word of each character."""

    page: PageWords
    order: Sequence[int]
    text: str = field(init=False)
    _places: list[int] = field(init=False)
    _starts: set[int] = field(init=False)
    _ends: set[int] = field(init=False)

    def __post_init__(self) -> None:
        characters: list[str] = []
        places: list[int] = []
        starts: set[int] = set()
        ends: set[int] = {0}
        for place, index in enumerate(self.order):
            previous = ""
            for char in fold(self.page.words[index].text):
                if char.isalnum():
                    # "RM60" has two parts: amounts stand right beside their currency.
                    if not previous.isalnum() or previous.isdigit() != char.isdigit():
                        starts.add(len(characters))
                        ends.add(len(characters))
                    characters.append(char)
                    places.append(place)
                previous = char
            ends.add(len(characters))
        for name, value in (("text", "".join(characters)), ("_places", places), ("_starts", starts), ("_ends", ends)):
            object.__setattr__(self, name, value)

    def find(self, needle: str) -> Iterator[tuple[Span, bool]]:
        """Every place of ``needle`` (letters and digits), and whether it stands there as whole words."""
        at = self.text.find(needle)
        while at >= 0:
            end = at + len(needle)
            yield self.span(at, end), at in self._starts and end in self._ends
            at = self.text.find(needle, at + 1)

    def span(self, start: int, end: int) -> Span:
        """The words of a range of characters, with the bare signs between them."""
        first, last = self._places[start], self._places[end - 1]
        return Span(self.page.number, tuple(self.order[first : last + 1]))


def fold(text: str) -> str:
    """Text in the form in which it is compared: compatible forms, no case."""
    return unicodedata.normalize("NFKC", text).casefold()


def bare(text: str) -> str:
    """The letters and digits of a text, folded."""
    return "".join(char for char in fold(text) if char.isalnum())
