"""Which oneOf need no check of the finished value, because no value is under two of their alternatives."""

from __future__ import annotations

from itertools import combinations

from local_retab.schema.conjunction import ONE_OF, Conjunction, Conjunctions
from local_retab.schema.merging import Merged, identity, merge, shared_types

MAX_CHILDREN = 16


def settle(reader: Conjunctions) -> None:
    """Take the oneOf whose alternatives exclude each other from what is deferred."""
    for (pointer, keyword), deferred in list(reader.deferred.items()):
        if deferred.reason == ONE_OF:
            count = len(reader.references.at(pointer)[keyword])
            children = [_options(reader, (f"{pointer}/{keyword}/{index}",)) for index in range(count)]
            if count <= MAX_CHILDREN and all(
                _exclude(reader, a, b) for left, right in combinations(children, 2) for a in left for b in right
            ):
                del reader.deferred[pointer, keyword]


def _options(reader: Conjunctions, pointers: Conjunction) -> list[Merged]:
    return [merge(reader, option) for option in reader.expand(pointers)]


def _exclude(reader: Conjunctions, left: Merged, right: Merged) -> bool:
    """Whether no value is under both: by type, by value, by a property, or by keys that one needs and one lacks."""
    if _apart(left, right):
        return True
    if shared_types(left.types, right.types) != {"object"}:
        return False
    if any(
        all(
            _apart(a, b)
            for a in _options(reader, left.properties[name])
            for b in _options(reader, right.properties[name])
        )
        for name in left.required
        if name in right.required
    ):
        return True
    return _needs_more(left, right) and _needs_more(right, left)


def _apart(left: Merged, right: Merged) -> bool:
    if left.values is not None and right.values is not None:
        return not {identity(value) for value in left.values} & {identity(value) for value in right.values}
    if left.values is not None:
        return not any(right.allows(value) for value in left.values)
    if right.values is not None:
        return not any(left.allows(value) for value in right.values)
    return not shared_types(left.types, right.types)


def _needs_more(left: Merged, right: Merged) -> bool:
    """Whether every object that the model may write for ``right`` lacks a key that ``left`` requires."""
    closed = right.additional is None and not right.patterns and bool(right.properties)
    return closed and any(name not in right.properties for name in left.required)
