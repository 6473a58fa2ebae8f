"""Numbers and dates of rows, told by the lines that the rows stand on.

A model that lists many rows loses its place now and then: all but one of a row's values are from its line, and that one
is what the model expected to come next. Where a column's values are on their rows' lines mostly, a value that is
not on its row's line is wrong; and where the line has just one number (or date) that no other value of the row accounts
for, that is the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from local_retab.errors import OutputValidationError
from local_retab.extraction.chunking.lines import DocumentLines, PrintedLine
from local_retab.extraction.chunking.placing import place_items
from local_retab.extraction.readings import dates, numbers

if TYPE_CHECKING:
    from pydantic import JsonValue

Path: TypeAlias = tuple[str, ...]

_COLUMN = 0.5
"""Where more rows than this share have a field's value on their line, all of them have."""
_FEWEST = 4
"""Rows; fewer show no column."""
_ISO = re.compile(r"\d{4}-\d\d-\d\d")
_MINUS = ("-", "−")


def reread(
    value: JsonValue, lines: DocumentLines, window: Sequence[int], validate: Callable[[JsonValue], None]
) -> JsonValue:
    """``value``, read from the lines of ``window``, with the rows of its arrays as their lines have them; unchanged
    where ``validate`` then refuses it."""
    told = _told(value, lines, window)
    if told is value:
        return value
    try:
        validate(told)
    except OutputValidationError:
        return value
    return told


def _told(value: JsonValue, lines: DocumentLines, window: Sequence[int]) -> JsonValue:
    if isinstance(value, dict):
        members = {key: _told(child, lines, window) for key, child in value.items()}
        return members if any(members[key] is not value[key] for key in value) else value
    if not isinstance(value, list) or not any(isinstance(item, dict) for item in value):
        return value
    places = place_items(value, lines, window)
    rows = [(number, lines.printed(line)) for number, line in enumerate(places) if line is not None]
    items, changed = list(value), False
    for path in dict.fromkeys(path for number, _ in rows for path, _ in _leaves(value[number])):
        wrong = _not_on_their_lines(path, items, rows)
        for number, line in wrong:
            leaf = _at(items[number], path)
            others = [other for where, other in _leaves(items[number]) if where != path]
            found = _only_date(line.text, others) if isinstance(leaf, str) else _only_number(line.text, others, leaf)
            if found is not None:
                items[number], changed = _with(items[number], path, found), True
    return items if changed else value


def _not_on_their_lines(
    path: Path, items: list[JsonValue], rows: list[tuple[int, PrintedLine]]
) -> list[tuple[int, PrintedLine]]:
    """The rows whose value of one column is not on their line; none where it is no column."""
    known = [(number, line) for number, line in rows if _readable(_at(items[number], path))]
    wrong = [(number, line) for number, line in known if not line.shows(_at(items[number], path))]
    return wrong if len(known) >= _FEWEST and len(wrong) < (1 - _COLUMN) * len(known) else []


def _readable(leaf: JsonValue) -> bool:
    """Whether a value is of a kind that a line can tell: a number, or a date as it is written in answers."""
    if isinstance(leaf, str):
        return _ISO.fullmatch(leaf) is not None
    return isinstance(leaf, int | float) and not isinstance(leaf, bool)


def _left(text: str, others: Sequence[JsonValue]) -> list[str]:
    """The words of a line that no other value of its row accounts for."""
    text = " ".join(text.split())
    for other in others:
        if isinstance(other, str) and other and not _readable(other):
            text = re.sub(re.escape(" ".join(other.split())), " ", text, count=1, flags=re.IGNORECASE)
    claimed = [other for other in others if _readable(other)]
    return [word for word in text.split() if not any(PrintedLine(word).shows(other) for other in claimed)]


def _only_number(text: str, others: Sequence[JsonValue], before: JsonValue) -> JsonValue:
    """The only number that is left of a line; None where there are more, or it can be read in two ways."""
    found = [word for word in _left(text, others) if numbers(word) and not dates(word)]
    magnitudes = {abs(reading) for word in found for reading in numbers(word)}
    if len(found) != 1 or len(magnitudes) != 1:
        return None
    number = -magnitudes.pop() if found[0].startswith(_MINUS) else magnitudes.pop()
    if not isinstance(before, int):
        return number
    return int(number) if number.is_integer() else None


def _only_date(text: str, others: Sequence[JsonValue]) -> JsonValue:
    days = dates(" ".join(_left(text, others)))
    return next(iter(days)).isoformat() if len(days) == 1 else None


def _leaves(value: JsonValue, path: Path = ()) -> Iterator[tuple[Path, JsonValue]]:
    """The scalars of an item outside arrays, by their keys."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _leaves(child, (*path, key))
    elif not isinstance(value, list):
        yield path, value


def _at(value: JsonValue, path: Path) -> JsonValue:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _with(value: JsonValue, path: Path, leaf: JsonValue) -> JsonValue:
    if not path:
        return leaf
    assert isinstance(value, dict)
    return {**value, path[0]: _with(value[path[0]], path[1:], leaf)}
