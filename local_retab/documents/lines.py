"""Lines that an OCR engine read, in any direction on the page, to words with boxes and text laid out in space."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from local_retab.documents.layout import WordBox, lay_out

Point = tuple[float, float]
Quad = tuple[Point, Point, Point, Point]
"""Top left, top right, bottom right and bottom left corner as the text itself stands."""

_MAX_SKEW = 20.0
"""Degrees from the page's main direction up to which a line counts as one of the main text, somewhat askew."""

_MAX_GAP = 2.5
"""Distance of neighbouring characters' middles, in the line's usual distance, from which a word ends between them."""
_REACH = 0.75
"""How far a word reaches beyond the middle of its last character, in the same unit."""


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line in its reading direction. ``corners`` are in pixels of the page as displayed.

    ``centres`` has the place of each character's middle along the line, from 0 (its begin) to 1.
    """

    text: str
    corners: Quad
    centres: tuple[float, ...]

    @property
    def length(self) -> float:
        """Pixels along the baseline."""
        return math.dist(self.corners[0], self.corners[1])

    @property
    def angle(self) -> float:
        """Degrees clockwise from left-to-right, in [-180, 180)."""
        (x0, y0), (x1, y1) = self.corners[:2]
        return (math.degrees(math.atan2(y1 - y0, x1 - x0)) + 180) % 360 - 180

    def words(self) -> Iterator[tuple[str, Quad]]:
        """The words, with the part of the line that each takes. They end at blanks, and at gaps as wide as several
        characters, for which recognisers often write no blank."""
        letters = [index for index, char in enumerate(self.text) if not char.isspace()]
        gaps = [self.centres[b] - self.centres[a] for a, b in pairwise(letters) if b == a + 1]
        pitch = median(gaps) if gaps else 1 / max(len(self.text), 1)
        words: list[list[int]] = []
        for index in letters:
            last = words[-1][-1] if words else -2
            if index == last + 1 and self.centres[index] - self.centres[last] <= _MAX_GAP * pitch:
                words[-1].append(index)
            else:
                words.append([index])
        reach = _REACH * pitch
        for before, word, after in zip([None, *words], words, [*words[1:], None], strict=False):
            head, tail = self.centres[word[0]], self.centres[word[-1]]
            start = (self.centres[before[-1]] + head) / 2 if before else 0.0
            end = (self.centres[after[0]] + tail) / 2 if after else 1.0
            text = "".join(self.text[index] for index in word)
            yield text, self._part(max(start, head - reach, 0.0), min(end, tail + reach, 1.0))

    def _part(self, start: float, end: float) -> Quad:
        top_left, top_right, bottom_right, bottom_left = self.corners
        return (
            _between(top_left, top_right, start),
            _between(top_left, top_right, end),
            _between(bottom_left, bottom_right, end),
            _between(bottom_left, bottom_right, start),
        )


def place_lines(
    lines: Sequence[TextLine], width: float, height: float, scale: float
) -> tuple[tuple[WordBox, ...], str]:
    """The words on the page as displayed, and the text laid out as it reads, however the page is turned or askew.

    ``width`` and ``height`` are the page's in pixels, ``scale`` is points in a pixel; boxes are in points.
    """
    words = [word for line in lines for word in line.words()]
    placed = tuple(_box(text, quad, scale) for text, quad in words)
    turn = math.radians(-_direction(lines))
    turned = [_box(text, _turned(quad, turn, width, height), scale) for text, quad in words]
    left = min((box.left for box in turned), default=0.0)
    top = min((box.top for box in turned), default=0.0)
    upright = [WordBox(box.text, box.left - left, box.top - top, box.right - left, box.bottom - top) for box in turned]
    right = max((box.right for box in upright), default=0.0)
    bottom = max((box.bottom for box in upright), default=0.0)
    return placed, lay_out(upright, right, bottom)


def _direction(lines: Sequence[TextLine]) -> float:
    """The angle at which most of the text runs, in degrees: the quarter turn of most, and the skew of these."""
    quarters = dict.fromkeys((0, 90, 180, 270), 0.0)
    for line in lines:
        quarters[round(line.angle / 90) * 90 % 360] += line.length
    quarter = max(quarters, key=lambda turn: quarters[turn])
    skews = [(line.angle - quarter + 180) % 360 - 180 for line in lines]
    # Short lines have coarse angles: the longer half decides.
    long_enough = median(line.length for line in lines) if lines else 0.0
    along = [
        skew for line, skew in zip(lines, skews, strict=True) if abs(skew) <= _MAX_SKEW and line.length >= long_enough
    ]
    return quarter + (median(along) if along else 0.0)


def _turned(quad: Quad, angle: float, width: float, height: float) -> Quad:
    """The quad turned about the middle of the page."""
    cosine, sine = math.cos(angle), math.sin(angle)
    x0, y0 = width / 2, height / 2
    first, second, third, fourth = (
        ((x - x0) * cosine - (y - y0) * sine, (x - x0) * sine + (y - y0) * cosine) for x, y in quad
    )
    return first, second, third, fourth


def _box(text: str, quad: Quad, scale: float) -> WordBox:
    across, down = [x * scale for x, _ in quad], [y * scale for _, y in quad]
    return WordBox(text, min(across), min(down), max(across), max(down))


def _between(start: Point, end: Point, share: float) -> Point:
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share
