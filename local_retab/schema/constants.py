"""Sets of constants: some scalar JSON values, or all values but those."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_EXCLUDED = 1_000  # constants that a grammar is to leave out


def identity(value: Any) -> Hashable:
    """Equal for equal JSON values, and hashable: 1 equals 1.0, and true does not equal 1."""
    if isinstance(value, list):
        return ("array", *map(identity, value))
    if isinstance(value, dict):
        return ("object", *sorted((key, identity(item)) for key, item in value.items()))
    return (isinstance(value, bool), value)


@dataclass(frozen=True, slots=True)
class Constants:
    """The scalars of ``known``, each as its ``identity``, or with ``others`` every value that is none of them."""

    known: frozenset[Any]
    others: bool = False

    def negated(self) -> Constants:
        return Constants(self.known, not self.others)

    def meet(self, other: Constants) -> Constants:
        """What is in both."""
        if self.others and other.others:
            return Constants(self.known | other.known, others=True)
        if self.others:
            return Constants(other.known - self.known)
        return Constants(self.known - other.known if other.others else self.known & other.known)

    def within(self, other: Constants) -> bool:
        """Whether ``other`` has all that this has."""
        return self.meet(other) == self

    @property
    def empty(self) -> bool:
        return not self.known and not self.others

    def schema(self) -> dict[str, Any]:
        """A JSON Schema of exactly these values."""
        values = sorted((value for _, value in self.known), key=lambda value: (str(type(value)), json.dumps(value)))
        return {"not": {"enum": values}} if self.others else {"enum": values}


def constants(schema: Mapping[str, Any]) -> Constants | None:
    """What ``const`` or ``enum`` allows, where that is scalars."""
    values: Iterable[Any] = [schema["const"]] if "const" in schema else schema["enum"]
    if any(isinstance(value, list | dict) for value in values):
        return None
    return Constants(frozenset(map(identity, values)))
