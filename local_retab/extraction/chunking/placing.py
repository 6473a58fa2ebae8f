"""On which line of the document each item of an array stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from local_retab.extraction.chunking.lines import DocumentLines

if TYPE_CHECKING:
    from pydantic import JsonValue

_SHARE = 0.5
"""Of an item's values that are printed in the window, so many are on its line."""
_SHARED_LINE = 0.5
"""What it costs an item to stand on the line of the one before, in values: lists may name several things on a line."""


def place_items(items: Sequence[JsonValue], lines: DocumentLines, window: Sequence[int]) -> list[int | None]:
    """For each item the line among ``window`` that it stands on, None where its values are not printed there.

    Items stand in the order of the document. Method: the assignment of items to lines, none of them going back, that
    shows most of their values, by dynamic programming over the lines that show at least half of an item's values.
    """
    shown = _Shown(lines, window)
    best = [(0.0, -1)] * (len(window) + 1)  # at index i: the best total whose last line is before i, and its node
    at_line: dict[int, tuple[float, int]] = {}
    nodes: list[tuple[int, int, int]] = []  # item, index into the window, node before
    for number, item in enumerate(items):
        changes: list[tuple[int, float, int]] = []
        for line, score in shown.candidates(item):
            total, before = best[line]
            total += score
            if line in at_line and at_line[line][0] + score - _SHARED_LINE > total:
                total, before = at_line[line][0] + score - _SHARED_LINE, at_line[line][1]
            changes.append((line, total, before))
        for line, total, before in changes:
            if total > at_line.get(line, (0.0, -1))[0]:
                nodes.append((number, line, before))
                at_line[line] = (total, len(nodes) - 1)
        if changes:
            running = (0.0, -1)
            for line in range(len(window)):
                best[line] = running
                if line in at_line and at_line[line][0] > running[0]:
                    running = at_line[line]
            best[len(window)] = running
    places: list[int | None] = [None] * len(items)
    node = best[len(window)][1]
    while node >= 0:
        number, line, node = nodes[node]
        places[number] = window[line]
    return places


def scalars(value: JsonValue) -> Iterator[JsonValue]:
    """The scalars of an item, those of arrays in it left out: they stand on lines of their own."""
    if isinstance(value, dict):
        for child in value.values():
            if not isinstance(child, list):
                yield from scalars(child)
    elif not isinstance(value, list):
        yield value


class _Shown:
    """Which lines of a window show a value; asked for many values that are equal."""

    def __init__(self, lines: DocumentLines, window: Sequence[int]) -> None:
        self._printed = [lines.printed(line) for line in window]
        self._known: dict[tuple[type, JsonValue], list[int]] = {}

    def candidates(self, item: JsonValue) -> list[tuple[int, int]]:
        """The lines that an item may stand on, by their index into the window, with how many values they show."""
        counts: dict[int, int] = {}
        printed = 0
        for value in scalars(item):
            places = self._places(value)
            printed += bool(places)
            for line in places:
                counts[line] = counts.get(line, 0) + 1
        return sorted((line, count) for line, count in counts.items() if count >= _SHARE * printed)

    def _places(self, value: JsonValue) -> list[int]:
        if isinstance(value, bool) or value is None:
            return []
        key = (type(value), value)
        if key not in self._known:
            self._known[key] = [line for line, printed in enumerate(self._printed) if printed.shows(value)]
        return self._known[key]
