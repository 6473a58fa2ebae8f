"""What the columns of a table say of its rows.

A model that lists many rows loses its place now and then: all but one of a row's values are from its line, and that one
is what the model expected to come next. What holds for a column in nearly all of its rows holds in all of them:

- its numbers (or dates) are on the rows' lines; where one is not, and the line has just one number (or date) that no
  other value of the row accounts for, that is the value;
- its numbers have the signs that are printed;
- its texts are what the other values leave of the lines; one that is neither on its line nor beside it is wrong, and
  what is left of the line is the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from local_retab.extraction.chunking.lines import PrintedLine
from local_retab.extraction.readings import dates, numbers

if TYPE_CHECKING:
    from pydantic import JsonValue

Path: TypeAlias = tuple[str, ...]
Found: TypeAlias = Iterator[tuple[int, "JsonValue"]]
"""Rows by their numbers, each with the value that a column has in it."""

_ON_LINES = 0.5
"""Where more rows than this share have a field's value on their line, all of them have."""
_ALIKE = 0.8
"""Where so many rows have the printed sign, or the text that is left of their line, all of them have."""
_FEWEST = 4
"""Rows; fewer show no column."""
_WORDS = 4
"""Words in which a number or a date may be printed."""
_ISO = re.compile(r"\d{4}-\d\d-\d\d")
_MINUS = ("-", "−")


@dataclass
class Row:
    """An item of an array and the line that it stands on."""

    item: JsonValue
    line: PrintedLine
    near: Sequence[PrintedLine] = ()
    """The lines just above and below, if no row stands on them: a text may begin or end there."""

    def leaves(self) -> dict[Path, JsonValue]:
        """The scalars outside arrays."""
        return dict(_leaves(self.item))

    def left(self, path: Path) -> list[str]:
        """The words of the line that no value but the one at ``path`` accounts for."""
        others = [other for where, other in _leaves(self.item) if where != path]
        text = " ".join(self.line.text.split())
        for other in others:
            if isinstance(other, str) and other and not _readable(other):
                text = re.sub(re.escape(" ".join(other.split())), " ", text, count=1, flags=re.IGNORECASE)
        words = text.split()
        for other in others:
            if _readable(other):
                words = _without(words, other)
        return words


def tell(rows: Sequence[Row], beside: Sequence[Row] = ()) -> list[JsonValue]:
    """The items of ``rows`` as the columns that they make with the rows ``beside`` have them."""
    known = [Row(row.item, row.line, row.near) for row in (*rows, *beside)]
    for rule in (_on_their_lines, _signed_as_printed, _left_of_their_lines):
        for path in dict.fromkeys(path for row in known[: len(rows)] for path in row.leaves()):
            for number, found in list(rule(path, known)):
                known[number].item = _with(known[number].item, path, found)
    return [row.item for row in known[: len(rows)]]


def _on_their_lines(path: Path, rows: Sequence[Row]) -> Found:
    known = [(number, leaf) for number, leaf in _column(path, rows) if _readable(leaf)]
    wrong = [(number, leaf) for number, leaf in known if not rows[number].line.shows(leaf)]
    if len(known) < _FEWEST or len(wrong) >= (1 - _ON_LINES) * len(known):
        return
    for number, leaf in wrong:
        left = rows[number].left(path)
        found = _only_date(left) if isinstance(leaf, str) else _only_number(left, leaf)
        if found is not None:
            yield number, found


def _signed_as_printed(path: Path, rows: Sequence[Row]) -> Found:
    known = []
    for number, leaf in _column(path, rows):
        if isinstance(leaf, int | float) and not isinstance(leaf, bool) and leaf:
            words = [word for word in rows[number].line.text.split() if abs(leaf) in map(abs, numbers(word))]
            if len(words) == 1:
                known.append((number, leaf, -abs(leaf) if words[0].startswith(_MINUS) else abs(leaf)))
    alike = sum(leaf == printed for _, leaf, printed in known)
    if len(known) >= _FEWEST and alike >= _ALIKE * len(known) and any(printed < 0 for *_, printed in known):
        yield from ((number, printed) for number, leaf, printed in known if leaf != printed)


def _left_of_their_lines(path: Path, rows: Sequence[Row]) -> Found:
    known = [
        (number, leaf, " ".join(rows[number].left(path)))
        for number, leaf in _column(path, rows)
        if isinstance(leaf, str) and not _readable(leaf)
    ]
    alike = sum(" ".join(leaf.split()).casefold() == left.casefold() for _, leaf, left in known)
    if len(known) < _FEWEST or alike < _ALIKE * len(known):
        return
    for number, leaf, left in known:
        row = rows[number]
        others = [
            other for where, other in row.leaves().items() if where != path and not isinstance(other, bool | None)
        ]
        if left and all(map(row.line.shows, others)) and not any(line.shows(leaf) for line in (row.line, *row.near)):
            yield number, left


def _column(path: Path, rows: Sequence[Row]) -> list[tuple[int, JsonValue]]:
    return [(number, leaves[path]) for number, row in enumerate(rows) if path in (leaves := row.leaves())]


def _without(words: list[str], value: JsonValue) -> list[str]:
    """Words without those that show a value, the fewest that do together: 20 Feb 2026."""
    for size in range(1, _WORDS + 1):
        starts = [i for i in range(len(words) - size + 1) if PrintedLine(" ".join(words[i : i + size])).shows(value)]
        if starts:
            shown = {start + offset for start in starts for offset in range(size)}
            return [word for i, word in enumerate(words) if i not in shown]
    return words


def _readable(leaf: JsonValue) -> bool:
    """Whether a value is of a kind that a line can tell: a number, or a date as it is written in answers."""
    if isinstance(leaf, str):
        return _ISO.fullmatch(leaf) is not None
    return isinstance(leaf, int | float) and not isinstance(leaf, bool)


def _only_number(left: Sequence[str], before: JsonValue) -> JsonValue:
    """The only number that is left of a line; None where there are more, or it can be read in two ways."""
    found = [word for word in left if numbers(word) and not dates(word)]
    magnitudes = {abs(reading) for word in found for reading in numbers(word)}
    if len(found) != 1 or len(magnitudes) != 1:
        return None
    number = -magnitudes.pop() if found[0].startswith(_MINUS) else magnitudes.pop()
    if not isinstance(before, int):
        return number
    return int(number) if number.is_integer() else None


def _only_date(left: Sequence[str]) -> JsonValue:
    days = dates(" ".join(left))
    return next(iter(days)).isoformat() if len(days) == 1 else None


def _leaves(value: JsonValue, path: Path = ()) -> Iterator[tuple[Path, JsonValue]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _leaves(child, (*path, key))
    elif not isinstance(value, list):
        yield path, value


def _with(value: JsonValue, path: Path, leaf: JsonValue) -> JsonValue:
    if not path:
        return leaf
    assert isinstance(value, dict)
    return {**value, path[0]: _with(value[path[0]], path[1:], leaf)}
