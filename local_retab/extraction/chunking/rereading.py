"""Rows of answers, told by the lines that they stand on."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from local_retab.errors import OutputValidationError
from local_retab.extraction.chunking.columns import Row, tell
from local_retab.extraction.chunking.lines import DocumentLines, PrintedLine
from local_retab.extraction.chunking.placing import place_items

if TYPE_CHECKING:
    from pydantic import JsonValue

REMEMBERED = 100
"""Rows of an array: the last four parts, so that one that is wrong from its first row to its last stands out."""


class Rereading:
    """Reads again what was read from parts of ``lines``; the rows of earlier parts show the columns of later ones."""

    def __init__(self, lines: DocumentLines) -> None:
        self._lines = lines
        self._known: defaultdict[tuple[str, ...], deque[Row]] = defaultdict(lambda: deque(maxlen=REMEMBERED))

    def reread(self, value: JsonValue, window: Sequence[int], validate: Callable[[JsonValue], None]) -> JsonValue:
        """``value``, read from the lines of ``window``, with the rows of its arrays as their columns have them;
        unchanged where ``validate`` then refuses it."""
        told = self._told(value, window, ())
        return told if told is not value and _valid(told, validate) else value

    def reread_items(
        self, items: Sequence[JsonValue], places: Sequence[int], validate: Callable[[JsonValue], None]
    ) -> list[JsonValue]:
        """Items of one array that stand on the lines ``places``, as their columns have them; one stays as it is where
        ``validate`` refuses it."""
        told = self._tell(items, places, ())
        return [new if new == item or _valid(new, validate) else item for item, new in zip(items, told, strict=True)]

    def _told(self, value: JsonValue, window: Sequence[int], path: tuple[str, ...]) -> JsonValue:
        if isinstance(value, dict):
            members = {key: self._told(child, window, (*path, key)) for key, child in value.items()}
            return members if any(members[key] is not value[key] for key in value) else value
        if not isinstance(value, list) or not any(isinstance(item, dict) for item in value):
            return value
        places = place_items(value, self._lines, window)
        placed = [(item, line) for item, line in zip(value, places, strict=True) if line is not None]
        told = iter(self._tell([item for item, _ in placed], [line for _, line in placed], path))
        items = [item if line is None else next(told) for item, line in zip(value, places, strict=True)]
        return value if items == value else items

    def _tell(self, items: Sequence[JsonValue], places: Sequence[int], path: tuple[str, ...]) -> list[JsonValue]:
        known = self._known[path]
        taken = {*places, *(row.at for row in known)}
        rows = [
            Row(item, line, self._lines.printed(line), self._near(line, taken))
            for item, line in zip(items, places, strict=True)
        ]
        told = tell(rows, known)
        known.extend(Row(new, row.at, row.line, row.near) for row, new in zip(rows, told, strict=True))
        return told

    def _near(self, line: int, taken: set[int]) -> list[PrintedLine]:
        beside = (near for near in (line - 1, line + 1) if 0 <= near < len(self._lines))
        return [self._lines.printed(near) for near in beside if near not in taken]


def _valid(value: JsonValue, validate: Callable[[JsonValue], None]) -> bool:
    try:
        validate(value)
    except OutputValidationError:
        return False
    return True
