"""Several answers to one question made one: the reconciled value, and how far the answers agree on each leaf.

Scalars by majority, numbers by their declared type, arrays aligned by content, objects key by key. Pure: no model,
no validation.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeGuard

from local_retab.extraction.alignment import align
from local_retab.extraction.declared import Declared

if TYPE_CHECKING:
    from pydantic import JsonValue

NUMBER_TOLERANCE = 1e-3
"""Relative distance between numbers of one cluster: rounding, not another reading."""


class _Absent(Enum):
    ABSENT = "absent"


ABSENT: Final = _Absent.ABSENT
"""What a vote has at a place that it does not have: a key that it leaves out, an item without a partner."""

Ballot: TypeAlias = "JsonValue | _Absent"


@dataclass(frozen=True, slots=True)
class FieldAgreement:
    """One leaf of the reconciled value. ``path`` is dotted: ``lines.0.amount``."""

    path: str
    value: JsonValue
    likelihood: float
    supporting: int
    total: int


@dataclass(frozen=True, slots=True)
class PathAlignment:
    """Where a leaf of the reconciled value stands in each vote; None where a vote does not have it."""

    canonical_path: str
    source_paths: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Reconciled:
    """``likelihoods`` mirrors ``value`` with the agreement of each leaf, from 0 to 1; ``aligned`` has each vote with
    its array items in the places of the reconciled value's, None for those that it lacks."""

    value: JsonValue
    likelihoods: JsonValue
    fields: tuple[FieldAgreement, ...]
    aligned: tuple[JsonValue, ...]
    paths: tuple[PathAlignment, ...]
    reference_index: int

    def best_vote(self) -> int:
        """The vote that agrees with the reconciled value in most leaves, the reference on a tie."""
        hits = [sum(_key(_at(vote, field.path)) == _key(field.value) for field in self.fields) for vote in self.aligned]
        return max(range(len(hits)), key=lambda vote: (hits[vote], vote == self.reference_index, -vote))


def reconcile(votes: Sequence[JsonValue], schema: dict[str, Any] | None = None, *, reference: int = 0) -> Reconciled:
    """The value that the votes agree on most; ties go to the vote ``reference``.

    ``schema`` says which numbers are integers, which must be equal to agree; other numbers that differ by no more
    than NUMBER_TOLERANCE agree, and their most frequent value, else their mean, is taken. A leaf's likelihood is the
    share of pairs of votes that agree on it (1 for a single vote). Raises ValueError without a vote.
    """
    if not votes:
        raise ValueError("consensus of no votes")
    reconciler = _Reconciler(reference)
    node = reconciler.merge(list(votes), "", [""] * len(votes), Declared.root(schema))
    value, tree = (None, None) if isinstance(node.value, _Absent) else (node.value, node.tree)
    return Reconciled(
        value=value,
        likelihoods=tree,
        fields=tuple(reconciler.fields),
        aligned=tuple(None if isinstance(vote, _Absent) else vote for vote in node.aligned),
        paths=tuple(reconciler.paths),
        reference_index=reference,
    )


@dataclass(frozen=True, slots=True)
class _Node:
    value: Ballot
    tree: JsonValue
    aligned: list[Ballot]


class _Reconciler:
    def __init__(self, reference: int) -> None:
        self._reference = reference
        self.fields: list[FieldAgreement] = []
        self.paths: list[PathAlignment] = []

    def merge(self, ballots: list[Ballot], path: str, sources: list[str | None], declared: Declared) -> _Node:
        """One place of the value; ``sources`` is where it stands in each vote."""
        kind = self._majority([_kind(ballot) for ballot in ballots])
        if kind == "object" and any(ballots):
            return self._object(ballots, path, sources, declared)
        if kind == "array" and any(ballots):
            return self._array(ballots, path, sources, declared)
        return self._leaf(ballots, kind, path, sources, declared)

    def _object(self, ballots: list[Ballot], path: str, sources: list[str | None], declared: Declared) -> _Node:
        objects = [ballot if isinstance(ballot, dict) else {} for ballot in ballots]
        ordered = [objects[self._reference], *objects]
        value: dict[str, JsonValue] = {}
        tree: dict[str, JsonValue] = {}
        aligned: list[dict[str, JsonValue]] = [{} for _ in ballots]
        for key in dict.fromkeys(key for vote in ordered for key in vote):
            inner = [vote.get(key, ABSENT) for vote in objects]
            places = [
                _join(source, key) if key in vote else None for source, vote in zip(sources, objects, strict=True)
            ]
            node = self.merge(inner, _join(path, key) or "", places, declared.child(key))
            if not isinstance(node.value, _Absent):
                value[key], tree[key] = node.value, node.tree
            for vote, item in zip(aligned, node.aligned, strict=True):
                if not isinstance(item, _Absent):
                    vote[key] = item
        return _Node(value, tree, [_or(ballot, vote, dict) for ballot, vote in zip(ballots, aligned, strict=True)])

    def _array(self, ballots: list[Ballot], path: str, sources: list[str | None], declared: Declared) -> _Node:
        arrays = [ballot if isinstance(ballot, list) else None for ballot in ballots]
        value: list[JsonValue] = []
        tree: list[JsonValue] = []
        aligned: list[list[JsonValue]] = [[] for _ in ballots]
        for slot in align(arrays, self._reference):
            held = sum(index is not None for index in slot.indices)
            if 2 * held < len(ballots) or (2 * held == len(ballots) and slot.indices[self._reference] is None):
                continue
            inner: list[Ballot] = []
            places: list[str | None] = []
            for vote, index in enumerate(slot.indices):
                items = arrays[vote]
                inner.append(ABSENT if index is None or items is None else items[index])
                places.append(None if index is None else _join(sources[vote], str(index)))
            node = self.merge(inner, _join(path, str(len(value))) or "", places, declared.child(len(value)))
            if isinstance(node.value, _Absent):
                continue
            value.append(node.value)
            tree.append(node.tree)
            for column, item in zip(aligned, node.aligned, strict=True):
                column.append(None if isinstance(item, _Absent) else item)
        return _Node(value, tree, [_or(ballot, column, list) for ballot, column in zip(ballots, aligned, strict=True)])

    def _leaf(
        self, ballots: list[Ballot], kind: str, path: str, sources: list[str | None], declared: Declared
    ) -> _Node:
        groups = _clusters(ballots) if declared.is_fractional else [_key(ballot) for ballot in ballots]
        winner = self._majority(
            [group if _kind(ballot) == kind else None for ballot, group in zip(ballots, groups, strict=True)]
        )
        members = [ballot for ballot, group in zip(ballots, groups, strict=True) if group == winner]
        first = self._reference if groups[self._reference] == winner else groups.index(winner)
        value = _representative(members, ballots[first]) if declared.is_fractional else ballots[first]
        count = len(ballots)
        pairs = count * (count - 1) // 2
        agreeing = sum(size * (size - 1) // 2 for size in Counter(groups).values())
        likelihood = agreeing / pairs if pairs else 1.0
        if not isinstance(value, _Absent):
            self.fields.append(FieldAgreement(path, value, likelihood, len(members), count))
            self.paths.append(PathAlignment(path, tuple(sources)))
        tree: JsonValue = likelihood if not isinstance(value, dict | list) else ({} if isinstance(value, dict) else [])
        return _Node(value, tree, ballots)

    def _majority(self, groups: Sequence[str | None]) -> str:
        """The most frequent one; on a tie the reference's, else that of the earliest vote. None is no candidate."""
        counts = Counter(group for group in groups if group is not None)
        most = max(counts.values())
        tied = [group for group in groups if group is not None and counts[group] == most]
        reference = groups[self._reference]
        return reference if reference in tied and reference is not None else tied[0]


def _kind(ballot: Ballot) -> str:
    if isinstance(ballot, dict):
        return "object"
    return "array" if isinstance(ballot, list) else "scalar"


def _key(ballot: Ballot) -> str:
    """What two equal scalars have in common: strings without regard to case and runs of blanks."""
    if isinstance(ballot, _Absent):
        return "absent"
    if isinstance(ballot, str):
        return "s" + " ".join(ballot.split()).casefold()
    if isinstance(ballot, float) and ballot.is_integer():
        ballot = int(ballot)
    return json.dumps(ballot, sort_keys=True)


def _clusters(ballots: Sequence[Ballot]) -> list[str]:
    """The group of each ballot, numbers that are close in one group."""
    numbers = sorted({ballot for ballot in ballots if _is_number(ballot)})
    group: dict[Any, str] = {}
    start: int | float = 0
    for index, number in enumerate(numbers):
        if not index or abs(number - start) > NUMBER_TOLERANCE * max(abs(number), abs(start)):
            start = number
        group[number] = _key(start)
    return [group[ballot] if _is_number(ballot) else _key(ballot) for ballot in ballots]


def _representative(members: list[Ballot], first: Ballot) -> Ballot:
    """Of a cluster of numbers: the one that more than half of it has, else the mean."""
    numbers: list[Any] = [member for member in members if _is_number(member)]
    if not numbers:
        return first
    value, count = Counter(numbers).most_common(1)[0]
    if 2 * count > len(numbers):
        return first if first == value else value
    if len(numbers) == 2:
        return first
    decimals = max(len(repr(float(number)).partition(".")[2]) for number in numbers)
    return float(round(sum(numbers) / len(numbers), decimals))


def _is_number(ballot: Ballot) -> TypeGuard[int | float]:
    return isinstance(ballot, int | float) and not isinstance(ballot, bool)


def _join(path: str | None, key: str) -> str | None:
    return None if path is None else f"{path}.{key}" if path else key


def _or(ballot: Ballot, aligned: Any, kind: type) -> Ballot:
    """``aligned`` for a vote that has this kind of container here, else what the vote has."""
    return aligned if isinstance(ballot, kind) else ballot


def _at(value: JsonValue, path: str) -> Ballot:
    here: Ballot = value
    for part in path.split(".") if path else ():
        if isinstance(here, dict) and part in here:
            here = here[part]
        elif isinstance(here, list) and part.isdigit() and int(part) < len(here):
            here = here[int(part)]
        else:
            return ABSENT
    return here
