"""What the parts of a document gave, made one value.

Scalars by evidence: the first part that states one and is sure of it, else the likeliest. Objects key by key. Items of
arrays by the line that they stand on: two parts that share lines give an item of these lines twice, and equal items of
other lines are other items, but for plain texts: those a part names again. Pure: no model, no validation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from local_retab.extraction.chunking.placing import place_items
from local_retab.extraction.folding import folded
from local_retab.extraction.partial import MISSING, Missing
from local_retab.schema.dialect import escape

if TYPE_CHECKING:
    from pydantic import JsonValue

    from local_retab.extraction.chunking.lines import DocumentLines

CONFIDENT = 0.9
"""Likelihood from which the first part that states a value is believed whatever later ones say."""
_NEAR = 2
"""Lines: an item that a seam cuts may be placed by its later lines in one part and by its first in another."""

Place: TypeAlias = tuple[int, int]
"""A line, and which of the items on it."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one part gave: a value, the likelihoods that mirror it, and the lines that it was read from."""

    value: JsonValue
    likelihoods: JsonValue
    lines: Sequence[int]
    items_only: bool = False
    """Its scalars outside arrays say nothing: it was read for rows alone."""
    placed: dict[str, list[int | None]] = field(default_factory=dict, compare=False, repr=False)
    """The lines of the items of its arrays, by pointer, as far as they have been looked for."""


@dataclass(slots=True)
class Merged:
    """``likelihoods`` mirrors ``value``. ``items`` has the places of the items of each array outside other arrays, None
    for one that is on no line, by the array's pointer; ``moved`` the new pointer of each item, by part and old one."""

    value: JsonValue | Missing = MISSING
    likelihoods: JsonValue = None
    items: dict[str, list[int | None]] = field(default_factory=dict)
    moved: dict[tuple[int, str], str] = field(default_factory=dict)

    def pointer(self, part: int, old: str) -> str:
        """Where what stood at the pointer ``old`` of a part stands now."""
        segments = old.split("/")
        for end in range(len(segments), 0, -1):
            new = self.moved.get((part, "/".join(segments[:end])))
            if new is not None:
                return "/".join([new, *segments[end:]])
        return old


@dataclass(frozen=True, slots=True)
class _Ballot:
    """One part's value for one place; ``pointer`` is where the part has it."""

    part: int
    value: JsonValue
    likelihoods: JsonValue
    pointer: str
    lines: Sequence[int]


@dataclass(slots=True)
class _Item:
    """The ballots for one item of an array, and where it stands."""

    place: Place
    located: bool
    ballots: list[_Ballot]


def merge(parts: Sequence[Part], lines: DocumentLines, *, before: int | None = None, texts_once: bool = True) -> Merged:
    """The value that ``parts``, in the order of the document, make together; MISSING for no part.

    With ``before`` only what further parts, which have no line above that one, cannot change: values that a part is
    sure of, and items that stand above it. Each such value extends (see ``partial.extends``) those with an earlier
    line. Without ``texts_once`` plain texts on other lines are other items.
    """
    merger = _Merger(parts, lines, before, texts_once=texts_once)
    ballots = [_Ballot(n, part.value, part.likelihoods, "", part.lines) for n, part in enumerate(parts)]
    merger.merged.value, merger.merged.likelihoods = merger.join(ballots, "", in_item=False)
    return merger.merged


class _Merger:
    def __init__(self, parts: Sequence[Part], lines: DocumentLines, before: int | None, *, texts_once: bool) -> None:
        self._texts_once = texts_once
        self._parts = parts
        self._lines = lines
        self._before = before
        self.merged = Merged()

    def join(self, ballots: list[_Ballot], pointer: str, *, in_item: bool) -> tuple[JsonValue | Missing, JsonValue]:
        """The value at one place, MISSING where it is open as yet, and its likelihoods."""
        stating = [ballot for ballot in ballots if ballot.value is not None]
        first = stating[0].value if stating else None
        if isinstance(first, dict):
            return self._object([b for b in stating if isinstance(b.value, dict)], pointer, in_item=in_item)
        if isinstance(first, list):
            return self._array([b for b in stating if isinstance(b.value, list)], pointer, in_item=in_item)
        scalars = [ballot for ballot in stating if not isinstance(ballot.value, dict | list)]
        return self._scalar(ballots, scalars, in_item=in_item)

    def _object(self, ballots: list[_Ballot], pointer: str, *, in_item: bool) -> tuple[JsonValue, JsonValue]:
        value: dict[str, JsonValue] = {}
        tree: dict[str, JsonValue] = {}
        for key in dict.fromkeys(key for ballot in ballots if isinstance(ballot.value, dict) for key in ballot.value):
            inner = [
                _Ballot(
                    ballot.part,
                    ballot.value[key],
                    _child(ballot.likelihoods, key),
                    f"{ballot.pointer}/{escape(key)}",
                    ballot.lines,
                )
                for ballot in ballots
                if isinstance(ballot.value, dict) and key in ballot.value
            ]
            found, likelihoods = self.join(inner, f"{pointer}/{escape(key)}", in_item=in_item)
            if not isinstance(found, Missing):
                value[key], tree[key] = found, likelihoods
        return value, tree

    def _scalar(
        self, ballots: list[_Ballot], stating: list[_Ballot], *, in_item: bool
    ) -> tuple[JsonValue | Missing, JsonValue]:
        believed = stating if in_item else [b for b in stating if not self._parts[b.part].items_only]
        sure = next((ballot for ballot in believed if _leaf(ballot.likelihoods) >= CONFIDENT), None)
        if sure is None and self._before is not None and not in_item:
            return MISSING, None
        best = sure or next(iter(believed), None)
        if sure is None and len(believed) > 1:
            best = max(believed, key=lambda ballot: (self._shows(ballot), _leaf(ballot.likelihoods)))
        if best is None:
            return (None, ballots[0].likelihoods) if ballots else (MISSING, None)
        return best.value, best.likelihoods

    def _shows(self, ballot: _Ballot) -> bool:
        """Whether a scalar is printed where it was read; of true and false that cannot be told."""
        return any(self._lines.printed(line).shows(ballot.value) for line in ballot.lines)

    def _array(self, ballots: list[_Ballot], pointer: str, *, in_item: bool) -> tuple[JsonValue, JsonValue]:
        items: list[_Item] = []
        for ballot in ballots:
            items = self._with_items(items, self._placed(ballot), ballot)
        if self._before is not None and not in_item:
            items = [item for item in items if item.place[0] < self._before]
        value: list[JsonValue] = []
        tree: list[JsonValue] = []
        for item in items:
            new = f"{pointer}/{len(value)}"
            found, likelihoods = self.join(item.ballots, new, in_item=True)
            if isinstance(found, Missing):
                continue
            self.merged.moved.update(((ballot.part, ballot.pointer), new) for ballot in item.ballots)
            value.append(found)
            tree.append(likelihoods)
        if not in_item:
            self.merged.items[pointer] = [item.place[0] if item.located else None for item in items]
        return value, tree

    def _placed(self, ballot: _Ballot) -> list[_Item]:
        """The items of one part; one that is on no line stands after the item before it."""
        assert isinstance(ballot.value, list)
        known = self._parts[ballot.part].placed
        if ballot.pointer not in known:
            known[ballot.pointer] = place_items(ballot.value, self._lines, ballot.lines)
        places = known[ballot.pointer]
        found: list[_Item] = []
        last, count = ballot.lines[0], -len(places)
        for index, (item, line) in enumerate(zip(ballot.value, places, strict=True)):
            if line is not None and (line != last or count < 0):
                last, count = line, 0
            child = _child(ballot.likelihoods, index)
            inside = _lines_of(index, places, ballot.lines)
            inner = _Ballot(ballot.part, item, child, f"{ballot.pointer}/{index}", inside)
            found.append(_Item((last, count), line is not None, [inner]))
            count += 1
        return found

    def _with_items(self, known: list[_Item], new: list[_Item], ballot: _Ballot) -> list[_Item]:
        """The items of the parts so far and of the next one, in the order of the document."""
        shared = set(ballot.lines)
        open_items = [item for item in known if item.place[0] in shared]
        added: list[_Item] = []
        for item in new:
            twin = _twin(item, open_items) or (_same_text(item, known) if self._texts_once else None)
            if twin is None:
                added.append(item)
                continue
            twin.ballots += item.ballots
            if twin in open_items:
                open_items.remove(twin)
        return sorted([*known, *added], key=lambda item: item.place)


def _twin(item: _Item, others: list[_Item]) -> _Item | None:
    """The same item as another part has it: on the same place, or next to it with nothing that contradicts."""
    same = next((other for other in others if other.located and item.located and other.place == item.place), None)
    if same is not None:
        return same
    value = item.ballots[0].value
    near = [other for other in others if abs(other.place[0] - item.place[0]) <= _NEAR]
    return next((other for other in near if _fits(value, other.ballots[0].value)), None)


def _same_text(item: _Item, others: list[_Item]) -> _Item | None:
    """The item that is the same text, on whatever line: a part names again what the parts before it have named."""
    value = item.ballots[0].value
    if not isinstance(value, str):
        return None
    texts = ((other, other.ballots[0].value) for other in others)
    return next((other for other, text in texts if isinstance(text, str) and folded(text) == folded(value)), None)


def _fits(one: JsonValue, other: JsonValue) -> bool:
    """Whether two readings can be of one thing: what both state is equal, or the one begins with the other."""
    if isinstance(one, dict) and isinstance(other, dict):
        both = [(one[key], other[key]) for key in one if one[key] is not None and other.get(key) is not None]
        both = [pair for pair in both if not isinstance(pair[0], list)]
        return bool(both) and all(_fits(mine, theirs) for mine, theirs in both)
    if isinstance(one, str) and isinstance(other, str):
        mine, theirs = one.casefold(), other.casefold()
        return bool(mine and theirs) and (mine.startswith(theirs) or theirs.startswith(mine))
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _lines_of(index: int, places: Sequence[int | None], lines: Sequence[int]) -> Sequence[int]:
    """The lines from the item at ``index`` up to the next one, all where it is not known where it stands."""
    own = places[index]
    if own is None:
        return lines
    following = next((place for place in places[index + 1 :] if place is not None and place > own), None)
    return [line for line in lines if line >= own and (following is None or line < following)]


def _child(tree: JsonValue, key: str | int) -> JsonValue:
    """The likelihoods of a member."""
    if isinstance(tree, dict) and isinstance(key, str):
        return tree.get(key)
    if isinstance(tree, list) and isinstance(key, int) and key < len(tree):
        return tree[key]
    return None


def _leaf(tree: JsonValue) -> float:
    return float(tree) if isinstance(tree, int | float) else 0.0
