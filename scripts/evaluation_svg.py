"""Panels of an evaluation: shares as bars with the floor that costs nothing, and a reliability diagram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple
from xml.sax.saxutils import escape

from panels_svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, frame
from reliability import Leaf, bins, calibration_error

BAR, GAP = 14, 6
BARS_LEFT, BARS_RIGHT = 170, 80
NAME_CHARS = 24


class Share(NamedTuple):
    """So many of so many are right; ``floor`` of them would be with null for everything."""

    name: str
    right: int
    count: int
    floor: int


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar from left to right for each share, and the floor as a mark across it."""

    title: str
    shares: Sequence[Share]

    @property
    def height(self) -> int:
        return TOP + len(self.shares) * (BAR + GAP) + GAP

    def svg(self) -> str:
        parts = [
            f'<text class="title" x="{GAP}" y="20">{escape(self.title)}</text>',
            f'<text x="{GAP}" y="36">share right; red: null for everything</text>',
        ]
        width = WIDTH - BARS_LEFT - BARS_RIGHT
        for index, (name, right, count, floor) in enumerate(self.shares):
            top = TOP + index * (BAR + GAP)
            at = BARS_LEFT + width * floor / count
            shown = name if len(name) <= NAME_CHARS else name[: NAME_CHARS - 1] + "…"
            parts += [
                f'<text x="{BARS_LEFT - 6}" y="{top + BAR - 3}" text-anchor="end">{escape(shown)}</text>',
                f'<rect class="bar" x="{BARS_LEFT}" y="{top}" width="{width * right / count:.1f}" height="{BAR}"/>',
                f'<line class="floor" x1="{at:.1f}" y1="{top - 2}" x2="{at:.1f}" y2="{top + BAR + 2}"/>',
                f'<text x="{WIDTH - BARS_RIGHT + 6}" y="{top + BAR - 3}">{right} of {count}</text>',
            ]
        return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class Reliability:
    """The share right at each bin of likelihoods beside the diagonal, where both are the same."""

    title: str
    found: Sequence[Leaf]
    height: ClassVar[int] = HEIGHT

    def svg(self) -> str:
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT

        def place(x: float, y: float) -> tuple[float, float]:
            return LEFT + (right - LEFT) * x, bottom - (bottom - TOP) * y

        filled = bins(self.found)
        places = [place(each.mean, each.right) for each in filled]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        error = f"{len(self.found)} values, ECE {calibration_error(self.found):.3f}"
        parts = [
            *frame(f"{self.title}: {error}", "likelihood", "share right (number of values)"),
            f'<text x="{LEFT - 6}" y="{TOP + 4}" text-anchor="end">1</text>',
            f'<text x="{right}" y="{bottom + 16}" text-anchor="middle">1</text>',
            f'<line class="even" x1="{LEFT}" y1="{bottom}" x2="{right}" y2="{TOP}"/>',
            f'<polyline class="line" points="{line}"/>',
        ]
        for (x, y), each in zip(places, filled, strict=True):
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>',
                f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{each.count}</text>',
            ]
        return "\n".join(parts)
