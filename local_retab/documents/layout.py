"""Word boxes to text laid out in space: what stands beside or under something on the page does so in the text."""

from __future__ import annotations

import math
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

_MAX_BLANKS = 120
"""Longest run of blanks: what bounds the text by the number of words, wherever these claim to be. It is long
because a run is one token to current tokenizers: on forms with twelve columns, alignment costs 1% more tokens."""
_GUTTER = range(2, 5)
"""Fewest and most blanks between columns."""
_MAX_COORDINATE = 1e6
_OPEN_LINES = 4
"""Lines that a word may still join; words come by height, so that older lines are far above."""


@dataclass(frozen=True, slots=True)
class WordBox:
    """A word and where it stands: points from the top left corner of the upright page."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class _Segment:
    """Words of one line with no more than word spaces between them."""

    text: str
    left: float
    right: float


class _Line:
    __slots__ = ("_bottoms", "_tops", "words")

    def __init__(self, word: WordBox) -> None:
        self.words = [word]
        self._tops, self._bottoms = word.top, word.bottom

    @property
    def top(self) -> float:
        return self._tops / len(self.words)

    @property
    def bottom(self) -> float:
        return self._bottoms / len(self.words)

    def add(self, word: WordBox) -> None:
        self.words.append(word)
        self._tops += word.top
        self._bottoms += word.bottom

    def overlap(self, word: WordBox) -> float:
        """The share of the lower one's height that both have; 0 where they are not on one line.

        A tall word beside two small lines overlaps both and belongs to the one that its middle is on; words of
        like height, a superscript and its base among them, need no common middle.
        """
        first, last = max(self.top, word.top), min(self.bottom, word.bottom)
        own, other = self.bottom - self.top, word.bottom - word.top
        low = min(own, other)
        if 2 * low < max(own, other):
            middle = (self.top + self.bottom if own > other else word.top + word.bottom) / 2
            if not first <= middle <= last:
                return 0.0
        share = (last - first) / low if low > 0 else float(last >= first)
        return share if share >= 0.5 else 0.0


def lay_out(words: Sequence[WordBox], width: float, height: float) -> str:
    """The words as text: one line for each line of the page, columns under one another, no blank line twice.

    ``width`` and ``height`` are the page's in points; boxes beyond them are taken to be at its edge. Every word's
    text appears once, a word of an up- or downward text after all others. The length is linear in the words, and
    no box raises: not a number counts as 0.

    Method: words join lines by vertical overlap, and segments where a line has no wider gap than a word space.
    The page's columns are the intervals covered by the segments of lines that have several. A column is as wide
    as its text needs at the page's median character width, so that wide margins shrink to a few blanks while
    each column begins at one place.
    """
    boxes = [_on_page(word, width, height) for word in words if word.text]
    upright, vertical = _split_vertical(boxes)
    lines = _lines(upright)
    rows = [_segments(line) for line in lines]
    pitch = _character_width(upright)
    columns = _columns(rows, pitch)
    lefts = [column.left for column in columns]
    blank_line = 0.8 * median(line.bottom - line.top for line in lines) if lines else 0.0
    parts: list[str] = []
    for index, (line, row) in enumerate(zip(lines, rows, strict=True)):
        if index and line.top - lines[index - 1].bottom > blank_line:
            parts.append("")
        parts.append(_place(row, columns, lefts, pitch))
    if vertical:
        parts += [""] * bool(parts) + [" ".join(word.text for word in run) for run in vertical]
    return "\n".join(parts)


def _on_page(word: WordBox, width: float, height: float) -> WordBox:
    left, right = sorted((_within(word.left, width), _within(word.right, width)))
    top, bottom = sorted((_within(word.top, height), _within(word.bottom, height)))
    return WordBox(word.text, left, top, right, bottom)


def _within(value: float, extent: float) -> float:
    limit = min(extent, _MAX_COORDINATE) if extent > 0 else _MAX_COORDINATE
    return 0.0 if math.isnan(value) else min(max(value, 0.0), limit)


def _split_vertical(boxes: Sequence[WordBox]) -> tuple[list[WordBox], list[list[WordBox]]]:
    """Words that run across, and the runs of those that run up or down, both in the order of the file.

    Three characters that are together twice as tall as wide run up or down, and so do the words next to them in
    the file between the same left and right edge.
    """
    vertical = [len(b.text) >= 3 and b.bottom - b.top > 2 * (b.right - b.left) for b in boxes]
    beside = [_same_edges(a, b) for a, b in pairwise(boxes)]
    for index, same in enumerate(beside):
        vertical[index + 1] |= same and vertical[index]
    for index in reversed(range(len(beside))):
        vertical[index] |= beside[index] and vertical[index + 1]
    upright: list[WordBox] = []
    runs: list[list[WordBox]] = []
    for index, box in enumerate(boxes):
        if not vertical[index]:
            upright.append(box)
        elif index and vertical[index - 1] and beside[index - 1]:
            runs[-1].append(box)
        else:
            runs.append([box])
    return upright, runs


def _same_edges(one: WordBox, other: WordBox) -> bool:
    return abs(one.left - other.left) + abs(one.right - other.right) <= 0.2 * (one.right - one.left)


def _lines(boxes: Sequence[WordBox]) -> list[_Line]:
    lines: list[_Line] = []
    for box in sorted(boxes, key=lambda box: (box.top + box.bottom, box.left)):
        best = max(lines[-_OPEN_LINES:], key=lambda line: line.overlap(box), default=None)
        if best is not None and best.overlap(box) > 0:
            best.add(box)
        else:
            lines.append(_Line(box))
    return sorted(lines, key=lambda line: line.top + line.bottom)


def _segments(line: _Line) -> list[_Segment]:
    words = sorted(line.words, key=lambda word: (word.left, word.right))
    word_space = 0.6 * (line.bottom - line.top)
    groups = [[words[0]]]
    right = words[0].right
    for word in words[1:]:
        if word.left - right > word_space:
            groups.append([])
        groups[-1].append(word)
        right = max(right, word.right)
    return [
        _Segment(" ".join(_reading_order(group)), group[0].left, max(word.right for word in group)) for group in groups
    ]


def _reading_order(words: Sequence[WordBox]) -> Iterator[str]:
    """From the right where most words are Arabic or Hebrew, whose letters are already in reading order."""
    leftward = sum(
        any(unicodedata.bidirectional(character) in {"R", "AL"} for character in word.text) for word in words
    )
    return (word.text for word in (reversed(words) if leftward > len(words) / 2 else words))


def _character_width(boxes: Sequence[WordBox]) -> float:
    widths = [(box.right - box.left) / len(box.text) for box in boxes]
    return max(median(widths), 0.1) if widths else 1.0


@dataclass(frozen=True, slots=True)
class _Column:
    left: float
    right: float
    start: int
    """Place of its first character in a line of text."""


def _columns(rows: Sequence[Sequence[_Segment]], pitch: float) -> list[_Column]:
    """The columns of the page from left to right, of which the last reaches as far as needed."""
    intervals: list[list[float]] = []
    for segment in sorted((s for row in rows if len(row) > 1 for s in row), key=lambda s: s.left):
        if intervals and segment.left < intervals[-1][1] + pitch:
            intervals[-1][1] = max(intervals[-1][1], segment.right)
        else:
            intervals.append([segment.left, segment.right])
    if not intervals:
        first = min((row[0].left for row in rows if row), default=0.0)
        return [_Column(first, first, 0)]
    lefts = [left for left, _ in intervals]
    needed = [0] * len(intervals)
    for row in rows:
        ends: dict[int, int] = {}
        for segment in row if len(row) > 1 else ():
            column = _column_of(segment.left, lefts)
            offset = round((segment.left - lefts[column]) / pitch)
            if column in ends:
                offset = max(offset, ends[column] + _GUTTER.start)
            ends[column] = offset + len(segment.text)
            needed[column] = max(needed[column], ends[column])
    columns: list[_Column] = []
    start = 0
    for index, (left, right) in enumerate(intervals):
        columns.append(_Column(left, right, start))
        if index + 1 < len(intervals):
            blanks = round((intervals[index + 1][0] - right) / pitch)
            start += needed[index] + min(max(blanks, _GUTTER.start), _GUTTER.stop - 1)
    return columns


def _column_of(left: float, lefts: Sequence[float]) -> int:
    return max(bisect_right(lefts, left) - 1, 0)


def _place(row: Sequence[_Segment], columns: Sequence[_Column], lefts: Sequence[float], pitch: float) -> str:
    text = ""
    for segment in row:
        index = _column_of(segment.left, lefts)
        place = columns[index].start + max(round((segment.left - columns[index].left) / pitch), 0)
        if index + 1 < len(columns):
            place = min(place, columns[index + 1].start - 1)
        blanks = min(place - len(text), _MAX_BLANKS)
        text += " " * max(blanks, _GUTTER.start if text else 0) + segment.text
    return text
