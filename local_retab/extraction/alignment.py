"""Items of several arrays that mean the same thing, matched by their content."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import JsonValue

SAME = 0.5
"""Similarity from which two items can be the same one."""
_NEARNESS = 1e-3
"""What equal places are worth where contents decide nothing: less than any difference in content."""


@dataclass(slots=True)
class Slot:
    """One item of the reconciled array: for each vote the index of its item, or None."""

    indices: list[int | None]
    item: JsonValue
    """The first vote's item here, which later ones are compared with."""


def align(arrays: Sequence[Sequence[JsonValue] | None], reference: int) -> list[Slot]:
    """Slots in the order of the reference vote, items that it lacks after what stands before them in their own vote.

    Method: votes join one after another, the reference first; equal items are matched in order, the rest by the
    assignment of the highest total similarity (the Hungarian method).
    """
    slots: list[Slot] = []
    order = [reference, *(vote for vote in range(len(arrays)) if vote != reference)]
    for vote in order:
        items = arrays[vote]
        if items is None:
            continue
        matched = _match([slot.item for slot in slots], items)
        place = 0
        for index, item in enumerate(items):
            slot = matched.get(index)
            if slot is None:
                new = Slot([None] * len(arrays), item)
                new.indices[vote] = index
                slots.insert(place, new)
                matched = {i: s + 1 if s >= place else s for i, s in matched.items()}
                place += 1
            else:
                slots[slot].indices[vote] = index
                place = slot + 1
    return slots


def _match(known: Sequence[JsonValue], items: Sequence[JsonValue]) -> dict[int, int]:
    """For each index into ``items`` that has one, its partner's index into ``known``."""
    waiting: dict[str, list[int]] = {}
    for index in reversed(range(len(known))):
        waiting.setdefault(_key(known[index]), []).append(index)
    matched: dict[int, int] = {}
    for index, item in enumerate(items):
        equal = waiting.get(_key(item))
        if equal:
            matched[index] = equal.pop()
    rows = sorted(index for indices in waiting.values() for index in indices)
    columns = [index for index in range(len(items)) if index not in matched]
    if rows and columns:
        matched |= {columns[c]: rows[r] for r, c in _assign([known[r] for r in rows], [items[c] for c in columns])}
    return matched


def _assign(known: Sequence[JsonValue], items: Sequence[JsonValue]) -> list[tuple[int, int]]:
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    longest = max(len(known), len(items))
    alike = np.array([[similarity(one, other) for other in items] for one in known])
    near = 1 - np.abs(np.subtract.outer(np.arange(len(known)), np.arange(len(items)))) / longest
    rows, columns = linear_sum_assignment(alike + _NEARNESS * near, maximize=True)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if alike[r, c] >= SAME]


def _key(value: JsonValue) -> str:
    return json.dumps(value, sort_keys=True)


def similarity(one: JsonValue, other: JsonValue) -> float:
    """How alike two values are, from 0 to 1: objects by the mean over their keys, strings by edit distance,
    numbers by their ratio."""
    from rapidfuzz import fuzz

    if isinstance(one, dict) and isinstance(other, dict):
        keys = one.keys() | other.keys()
        both = [key for key in keys if one.get(key) is not None or other.get(key) is not None]
        return sum(similarity(one.get(key), other.get(key)) for key in both) / len(both) if both else 1.0
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return float(one is other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        largest = max(abs(one), abs(other))
        return 1.0 if one == other else max(0.0, 1 - 4 * abs(one - other) / largest) if math.isfinite(largest) else 0.0
    if isinstance(one, str) and isinstance(other, str):
        return fuzz.ratio(one.casefold(), other.casefold()) / 100
    if isinstance(one, list) and isinstance(other, list):
        return fuzz.ratio(_key(one), _key(other)) / 100
    return 0.0
