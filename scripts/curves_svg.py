"""Curves as panels of a picture: from zero on both axes, every point with its value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from panels_svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, frame


@dataclass(frozen=True, slots=True)
class Curve:
    """A title, what the axes are, and points in order."""

    title: str
    x: str
    y: str
    points: list[tuple[float, float]]
    height: ClassVar[int] = HEIGHT

    def svg(self) -> str:
        most_x, most_y = (max(point[axis] for point in self.points) or 1.0 for axis in (0, 1))
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        places = [
            (LEFT + (right - LEFT) * x / most_x, bottom - (bottom - TOP) * y / (1.15 * most_y)) for x, y in self.points
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts = [*frame(self.title, self.x, self.y), f'<polyline class="line" points="{line}"/>']
        for (x, y), (at, value) in zip(places, self.points, strict=True):
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>',
                f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{value:.3g}</text>',
                f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{at:g}</text>',
            ]
        return "\n".join(parts)
