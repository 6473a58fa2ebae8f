"""Which oneOf need no check of the finished value: no value is under two alternatives, or they can be kept apart."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from local_retab.schema.conjunction import ONE_OF, Apart, Conjunction, Conjunctions
from local_retab.schema.constants import identity
from local_retab.schema.merging import Merged, merge, shared_types, types_of

MAX_CHILDREN = 16


def settle(reader: Conjunctions) -> Apart:
    """Take the oneOf whose alternatives exclude each other from what is deferred.

    What would keep the alternatives of the others apart, where that is known: see ``Conjunctions``.
    """
    found: Apart = {}
    for (pointer, keyword), deferred in list(reader.deferred.items()):
        if deferred.reason == ONE_OF:
            more = _apart_by(reader, f"{pointer}/{keyword}", len(reader.references.at(pointer)[keyword]))
            if more == {}:
                del reader.deferred[pointer, keyword]
            elif more is not None:
                found[pointer] = more
    return found


def _apart_by(reader: Conjunctions, union: str, count: int) -> dict[int, list[Any]] | None:
    """By alternative, what it has to be under as well; empty where they exclude each other, None where not known."""
    if count > MAX_CHILDREN:
        return None
    options = [_options(reader, (f"{union}/{index}",)) for index in range(count)]
    found: dict[int, list[Any]] = {}
    for left, right in combinations(range(count), 2):
        both = [(a, b) for a in options[left] for b in options[right] if not _exclude(reader, a, b)]
        if not both:
            continue
        more = _less(reader, f"{union}/{left}", f"{union}/{right}") or _not_empty(reader, both)
        if more is None:
            return None
        for index, schema in zip((left, right), more, strict=True):
            found.setdefault(index, []).append(schema)
    return found


def _less(reader: Conjunctions, left: str, right: str) -> tuple[Any, Any] | None:
    """Each without the other, where both have a complement."""
    others = reader.complement(right), reader.complement(left)
    return None if None in others else (reader.references.at(others[0] or ""), reader.references.at(others[1] or ""))


def _not_empty(reader: Conjunctions, both: list[tuple[Merged, Merged]]) -> tuple[Any, Any] | None:
    """Each without the empty array or object, where they have no other value in common."""
    if all(_common(a, b) == {"array"} for a, b in both):
        elements = ((a, b) for a, b in both if a.prefix or b.prefix or not _all_apart(reader, a.rest, b.rest))
        return None if any(True for _ in elements) else ({"minItems": 1}, {"minItems": 1})
    if len(both) > 1 or _common(*both[0]) != {"object"}:
        return None
    sides = [{name for name, at in side.properties.items() if reader.expand(at)} for side in both[0]]
    if not all(_is_shut(reader, side) for side in both[0]) or sides[0] & sides[1] or not all(sides):
        return None
    left, right = ({"anyOf": [{"required": [name]} for name in sorted(side)]} for side in sides)
    return left, right


def _options(reader: Conjunctions, pointers: Conjunction) -> list[Merged]:
    return [merge(reader, option) for option in reader.expand(pointers)]


def _exclude(reader: Conjunctions, left: Merged, right: Merged) -> bool:
    """Whether no value is under both: by type, by value, by a property, or by keys that one needs and one lacks."""
    if _apart(left, right):
        return True
    if _common(left, right) != {"object"}:
        return False
    shared = [name for name in left.required if name in right.required]
    if any(_all_apart(reader, left.properties[name], right.properties[name]) for name in shared):
        return True
    return _is_outside(reader, left, right) and _is_outside(reader, right, left)


def _all_apart(reader: Conjunctions, left: Conjunction, right: Conjunction) -> bool:
    return all(_apart(a, b) for a in _options(reader, left) for b in _options(reader, right))


def _apart(left: Merged, right: Merged) -> bool:
    if left.values is not None and right.values is not None:
        return not {identity(value) for value in left.values} & {identity(value) for value in right.values}
    if left.values is not None or right.values is not None:
        some, other = (left, right) if left.values is not None else (right, left)
        return not any(types_of(value) & other.whole for value in some.values or ())
    return not _common(left, right)


def _common(left: Merged, right: Merged) -> frozenset[str]:
    """The types of values that the model may write for one and that are under the other."""
    return shared_types(left.types, right.whole) | shared_types(left.whole, right.types)


def _is_outside(reader: Conjunctions, left: Merged, right: Merged) -> bool:
    """Whether every object that the model may write for ``left`` lacks a key that ``right`` requires, or has one that
    ``right`` forbids."""
    closed = left.additional is None and not left.patterns and bool(left.properties)
    lacking = (closed or _is_shut(reader, left)) and any(name not in left.properties for name in right.required)
    return lacking or (_is_shut(reader, right) and any(name not in right.properties for name in left.required))


def _is_shut(reader: Conjunctions, merged: Merged) -> bool:
    """Whether the schema itself forbids further keys."""
    return merged.additional is not None and not merged.patterns and not reader.expand(merged.additional)
