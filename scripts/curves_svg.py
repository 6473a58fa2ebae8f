"""Curves as an SVG picture: small panels, from zero on both axes, every point with its value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

COLUMNS = 2
WIDTH, HEIGHT = 460, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 30, 44, 44
STYLE = (
    "text{font:12px sans-serif;fill:#222}.title{font-weight:bold;font-size:13px}"
    ".axis{stroke:#888;fill:none}.line{stroke:#1f77b4;fill:none;stroke-width:2}circle{fill:#1f77b4}"
)


@dataclass(frozen=True, slots=True)
class Curve:
    """A title, what the axes are, and points in order."""

    title: str
    x: str
    y: str
    points: list[tuple[float, float]]


def draw(curves: Sequence[Curve]) -> str:
    """The whole picture."""
    rows = -(-len(curves) // COLUMNS)
    panels = "\n".join(
        f'<g transform="translate({index % COLUMNS * WIDTH},{index // COLUMNS * HEIGHT})">\n{_panel(curve)}\n</g>'
        for index, curve in enumerate(curves)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{COLUMNS * WIDTH}" height="{rows * HEIGHT}">\n'
        f'<style>{STYLE}</style>\n<rect width="100%" height="100%" fill="white"/>\n{panels}\n</svg>\n'
    )


def _panel(curve: Curve) -> str:
    most_x, most_y = (max(point[axis] for point in curve.points) or 1.0 for axis in (0, 1))
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    places = [
        (LEFT + (right - LEFT) * x / most_x, bottom - (bottom - TOP) * y / (1.15 * most_y)) for x, y in curve.points
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [
        f'<text class="title" x="{LEFT}" y="20">{escape(curve.title)}</text>',
        f'<text x="{LEFT}" y="36">{escape(curve.y)}</text>',
        f'<text x="{right}" y="{HEIGHT - 8}" text-anchor="end">{escape(curve.x)}</text>',
        f'<polyline class="axis" points="{LEFT},{TOP} {LEFT},{bottom} {right},{bottom}"/>',
        f'<text x="{LEFT - 6}" y="{bottom}" text-anchor="end">0</text>',
        f'<polyline class="line" points="{line}"/>',
    ]
    for (x, y), (at, value) in zip(places, curve.points, strict=True):
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>',
            f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{value:.3g}</text>',
            f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{at:g}</text>',
        ]
    return "\n".join(parts)
