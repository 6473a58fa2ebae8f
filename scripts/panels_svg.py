"""Small panels side by side as one SVG picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from xml.sax.saxutils import escape

COLUMNS = 2
WIDTH, HEIGHT = 460, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 30, 44, 44
STYLE = (
    "text{font:12px sans-serif;fill:#222}.title{font-weight:bold;font-size:13px}"
    ".axis{stroke:#888;fill:none}.line{stroke:#1f77b4;fill:none;stroke-width:2}circle,.bar{fill:#1f77b4}"
    ".floor{stroke:#d62728;stroke-width:2}.even{stroke:#888;stroke-dasharray:4 3}"
)


class Panel(Protocol):
    """What is drawn in WIDTH by ``height`` pixels."""

    @property
    def height(self) -> int: ...

    def svg(self) -> str: ...


def draw(panels: Sequence[Panel]) -> str:
    """The whole picture: COLUMNS panels in a row, which is as high as its highest."""
    parts: list[str] = []
    top = 0
    for start in range(0, len(panels), COLUMNS):
        row = panels[start : start + COLUMNS]
        parts += [
            f'<g transform="translate({index * WIDTH},{top})">\n{panel.svg()}\n</g>' for index, panel in enumerate(row)
        ]
        top += max(panel.height for panel in row)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{COLUMNS * WIDTH}" height="{top}">\n'
        f'<style>{STYLE}</style>\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def frame(title: str, x: str, y: str) -> list[str]:
    """The title, what the axes are, and the axes."""
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    return [
        f'<text class="title" x="{LEFT}" y="20">{escape(title)}</text>',
        f'<text x="{LEFT}" y="36">{escape(y)}</text>',
        f'<text x="{right}" y="{HEIGHT - 8}" text-anchor="end">{escape(x)}</text>',
        f'<polyline class="axis" points="{LEFT},{TOP} {LEFT},{bottom} {right},{bottom}"/>',
        f'<text x="{LEFT - 6}" y="{bottom}" text-anchor="end">0</text>',
    ]
