"""A page's text as it is written piece by piece, with the places that the pieces stand at."""

from __future__ import annotations

import re

from local_retab.documents.anchors import Anchor, Place

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]|[\ud800-\udfff]")


class PageText:
    """Text that grows at its end. ``anchors`` are in order and do not overlap."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self.anchors: list[Anchor] = []

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def __len__(self) -> int:
        return self._length

    def write(self, text: str, place: Place | None = None) -> None:
        """Append ``text`` less its control characters."""
        text = _UNSEEN.sub("", text)
        if place is not None and text:
            self.anchors.append(Anchor(self._length, self._length + len(text), place))
        self._parts.append(text)
        self._length += len(text)

    def write_row(self, cells: list[tuple[str, Place | None]]) -> None:
        """One line of a table: cells apart by bars, each on one line, the empty ones at the end left out."""
        cells = [(" ".join(text.split()), place) for text, place in cells]
        while cells and not cells[-1][0]:
            cells.pop()
        for index, (text, place) in enumerate(cells):
            if index:
                self.write(" | ")
            self.write(text, place)
        self.write("\n")
