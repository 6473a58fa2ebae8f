"""Rows of an answer, told by the lines that they stand on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, NamedTuple

from local_retab.errors import OutputValidationError
from local_retab.extraction.chunking.columns import Row, tell
from local_retab.extraction.chunking.lines import DocumentLines
from local_retab.extraction.chunking.placing import place_items

if TYPE_CHECKING:
    from pydantic import JsonValue


class Known(NamedTuple):
    """A value that was read from the lines of a window."""

    value: JsonValue
    window: Sequence[int]


def reread(
    value: JsonValue,
    lines: DocumentLines,
    window: Sequence[int],
    validate: Callable[[JsonValue], None],
    beside: Known | None = None,
) -> JsonValue:
    """``value``, read from the lines of ``window``, with the rows of its arrays as their columns have them; unchanged
    where ``validate`` then refuses it. The same arrays of the value ``beside`` show the columns too.
    """
    told = _told(value, lines, window, beside)
    return told if told is not value and _valid(told, validate) else value


def reread_items(
    items: Sequence[JsonValue],
    places: Sequence[int],
    lines: DocumentLines,
    validate: Callable[[JsonValue], None],
    beside: Sequence[Row] = (),
) -> list[Row]:
    """Items that stand on the lines ``places``, as rows that have what their columns have; one stays as it is where
    ``validate`` refuses it."""
    rows = _rows(items, places, lines, set(places))
    for row, told in zip(rows, tell(rows, beside), strict=True):
        if told != row.item and _valid(told, validate):
            row.item = told
    return rows


def _told(value: JsonValue, lines: DocumentLines, window: Sequence[int], beside: Known | None) -> JsonValue:
    if isinstance(value, dict):
        inside = beside.value if beside and isinstance(beside.value, dict) else {}
        members = {
            key: _told(child, lines, window, Known(inside[key], beside.window) if beside and key in inside else None)
            for key, child in value.items()
        }
        return members if any(members[key] is not value[key] for key in value) else value
    if not isinstance(value, list) or not any(isinstance(item, dict) for item in value):
        return value
    places = place_items(value, lines, window)
    others = beside.value if beside and isinstance(beside.value, list) else []
    other_places = place_items(others, lines, beside.window) if beside else []
    taken = {*places, *other_places}
    told = iter(tell(_rows(value, places, lines, taken), _rows(others, other_places, lines, taken)))
    items = [item if line is None else next(told) for item, line in zip(value, places, strict=True)]
    return value if items == value else items


def _rows(
    items: Sequence[JsonValue], places: Sequence[int | None], lines: DocumentLines, taken: AbstractSet[int | None]
) -> list[Row]:
    """The items that have a line; ``taken`` are the lines of all rows that are known."""
    return [
        Row(
            item,
            lines.printed(line),
            [lines.printed(near) for near in (line - 1, line + 1) if 0 <= near < len(lines) and near not in taken],
        )
        for item, line in zip(items, places, strict=True)
        if line is not None
    ]


def _valid(value: JsonValue, validate: Callable[[JsonValue], None]) -> bool:
    try:
        validate(value)
    except OutputValidationError:
        return False
    return True
