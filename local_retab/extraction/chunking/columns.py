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
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from local_retab.extraction.chunking.lines import PrintedLine
from local_retab.extraction.readings import dates, numbers

if TYPE_CHECKING:
    from pydantic import JsonValue

Path: TypeAlias = tuple[str, ...]
Found: TypeAlias = "Iterator[tuple[Row, JsonValue]]"
"""Rows, each with the value that a column has in it."""

_ON_LINES = 0.5
"""Where more rows than this share have a field's value on their line, all of them have."""
_ALIKE = 0.7
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
    at: int
    """The number of the line."""
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
    own = [replace(row) for row in rows]
    for rule in (_on_their_lines, _signed_as_printed, _left_of_their_lines):
        for path in dict.fromkeys(path for row in own for path in row.leaves()):
            for row, found in list(rule(path, own, beside)):
                row.item = _with(row.item, path, found)
    return [row.item for row in own]


def _on_their_lines(path: Path, own: Sequence[Row], beside: Sequence[Row]) -> Found:
    def off(rows: Sequence[Row]) -> list[tuple[Row, JsonValue, bool]]:
        return [(row, leaf, not row.line.shows(leaf)) for row, leaf in _column(path, rows) if _readable(leaf)]

    mine = off(own)
    wrong = [(row, leaf) for row, leaf, missing in mine if missing]
    if not wrong:  # as it is nearly always, and the others need not be looked at
        return
    known = [missing for *_, missing in (*mine, *off(beside))]
    if len(known) < _FEWEST or sum(known) >= (1 - _ON_LINES) * len(known):
        return
    for row, leaf in wrong:
        left = row.left(path)
        found = _only_date(left) if isinstance(leaf, str) else _only_number(left, leaf)
        if found is not None:
            yield row, found


def _signed_as_printed(path: Path, own: Sequence[Row], beside: Sequence[Row]) -> Found:
    def signed(rows: Sequence[Row]) -> Iterator[tuple[Row, float, float]]:
        for row, leaf in _column(path, rows):
            if isinstance(leaf, int | float) and not isinstance(leaf, bool) and leaf:
                words = [word for word in row.line.text.split() if abs(leaf) in map(abs, numbers(word))]
                if len(words) == 1:
                    yield row, leaf, -abs(leaf) if words[0].startswith(_MINUS) else abs(leaf)

    mine = list(signed(own))
    wrong = [(row, printed) for row, leaf, printed in mine if leaf != printed]
    if not wrong:
        return
    known = [(leaf, printed) for _, leaf, printed in (*mine, *signed(beside))]
    alike = sum(leaf == printed for leaf, printed in known)
    if len(known) >= _FEWEST and alike >= _ALIKE * len(known) and any(printed < 0 for _, printed in known):
        yield from wrong


def _left_of_their_lines(path: Path, own: Sequence[Row], beside: Sequence[Row]) -> Found:
    def texts(rows: Sequence[Row]) -> list[tuple[Row, str]]:
        return [(row, leaf) for row, leaf in _column(path, rows) if isinstance(leaf, str) and not _readable(leaf)]

    mine = texts(own)
    wrong = [row for row, leaf in mine if not any(line.shows(leaf) for line in (row.line, *row.near))]
    if not wrong:
        return
    known = [(leaf, " ".join(row.left(path))) for row, leaf in (*mine, *texts(beside))]
    alike = sum(" ".join(leaf.split()).casefold() == left.casefold() for leaf, left in known)
    if len(known) < _FEWEST or alike < _ALIKE * len(known):
        return
    for row in wrong:
        others = [told for where, told in row.leaves().items() if where != path and not isinstance(told, bool | None)]
        left = row.left(path)
        if left and all(map(row.line.shows, others)):
            yield row, " ".join(left)


def _column(path: Path, rows: Sequence[Row]) -> list[tuple[Row, JsonValue]]:
    return [(row, leaves[path]) for row in rows if path in (leaves := row.leaves())]


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
