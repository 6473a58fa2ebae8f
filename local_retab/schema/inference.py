"""The inference schema: what the model is held to, derived from the caller's schema, and the way back as a Shape.

Every property is required, and one that the caller leaves optional may be null, so that keys are forced tokens and no
field is forgotten. Hidden properties stand before the property they serve. Objects are closed unless the caller opens
them. Inside a union of several objects (or arrays) optional properties stay optional: there a key tells which
alternative the value is under. References are written out, except where a definition recurs or is large and shared.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from local_retab.errors import UnsatisfiableSchemaError, UnsupportedSchemaError
from local_retab.schema.conjunction import Conjunction, Conjunctions
from local_retab.schema.dialect import unescape
from local_retab.schema.hidden import LINE, Hidden, HiddenFields
from local_retab.schema.merging import Merged, merge
from local_retab.schema.nodes import Built, Nodes, nullable
from local_retab.schema.shape import OPEN, Shape, union, with_null

MAX_DEPTH = 30  # nested nodes in one piece, as llguidance reads 128 levels of JSON; deeper ones become definitions
MAX_WORK = 150_000  # schemas read, each as often as it applies; about three seconds
SHARED_SIZE = 6  # nodes; a schema this large that is used again becomes a definition


@dataclass(frozen=True, slots=True)
class Key:
    """What a node is built from; equal keys give equal nodes."""

    pointers: Conjunction
    ambiguous: bool  # inside a union of several objects or arrays
    lead: str | None  # the key of a hidden first property


class Inference:
    """Builds the inference schema of one document."""

    def __init__(self, reader: Conjunctions, *, max_string_chars: int, lines: Sequence[str] | None = None) -> None:
        self._reader = reader
        self._lines = lines
        self.hidden = HiddenFields(reader, cited=lines is not None)
        self._nodes = Nodes(reader, self.hidden, self, max_string_chars)
        self._leads: dict[Key, Hidden | None] = {}
        self._building: set[Key] = set()
        self._built: dict[Key, Built | None] = {}
        self._merged: dict[Conjunction, Merged] = {}
        self._names: dict[Key, str] = {}
        self._shapes: dict[str, Shape] = {}
        self._work = 0

    def build(self) -> tuple[dict[str, Any], Shape]:
        """The inference schema and its shape. Raises UnsatisfiableSchemaError when no value is under the schema."""
        root = self.node(("",), ambiguous=self._reader.wide, lead=self.hidden.leading("root", ("",)))
        if root is None:
            raise UnsatisfiableSchemaError(
                "No value can satisfy the schema: its keywords contradict each other. Remove one of them."
            )
        definitions: dict[str, Any] = {} if self._lines is None else {LINE: {"enum": list(self._lines)}}
        fixed = len(definitions)
        while len(definitions) < len(self._names) + fixed:  # building a definition may name further ones
            key, name = list(self._names.items())[len(definitions) - fixed]
            built = self._construct(key)
            definitions[name] = False if built is None else built.schema
            self._shapes[name] = OPEN if built is None else built.shape
        return {**root.schema, **({"$defs": definitions} if definitions else {})}, root.shape.resolve()

    def node(self, pointers: Conjunction, *, ambiguous: bool, lead: Hidden | None = None) -> Built | None:
        """The node of a conjunction, or a reference to it; None when no value is under it."""
        target, passed = self._reader.dereference(pointers)
        key = Key(target, ambiguous, lead.name if lead else None)
        if lead and self._leads.setdefault(key, lead) != lead:
            key = Key(pointers, ambiguous, lead.name)  # the same target under another prompt
            self._leads[key] = lead
        built = self._shared(key)
        outer = self._reader.described(passed)
        if built is None or outer is None:
            return built
        return Built({**built.schema, "description": outer}, built.shape, built.size)

    def allows_null(self, pointers: Conjunction) -> bool:
        """Whether the caller's schema surely allows null."""
        options = self._reader.expand(pointers)
        allowing = [option for option in options if self._merge(option).allows(None)]
        certain = [option for option in allowing if not self._reader.uncertain.intersection(option)]
        excluding = self._reader.exclusive.intersection(*allowing[:1])
        return bool(certain) and (len(allowing) == 1 or not excluding)

    def _shared(self, key: Key) -> Built | None:
        if key in self._names or key in self._building or len(self._building) >= MAX_DEPTH:
            return self._reference(key)
        if key in self._built:
            built = self._built[key]
            return built if built is None or built.size < SHARED_SIZE else self._reference(key)
        self._building.add(key)
        built = self._built[key] = self._construct(key)
        self._building.remove(key)
        return built

    def _reference(self, key: Key) -> Built:
        if key not in self._names:
            last = unescape(key.pointers[-1].rpartition("/")[2]) if key.pointers else ""
            base = re.sub(r"\W", "_", last, flags=re.ASCII)[:40] or "Root"
            taken = {LINE, *self._names.values()}
            numbered = (base if index == 1 else f"{base}_{index}" for index in range(1, len(taken) + 2))
            self._names[key] = next(name for name in numbered if name not in taken)
        name = self._names[key]
        return Built({"$ref": f"#/$defs/{name}"}, Shape(reference=name, definitions=self._shapes))

    def _construct(self, key: Key) -> Built | None:
        options = self._reader.expand(key.pointers)
        found = [self._merge(option) for option in options]
        self._spend(1 + sum(len(o) * (1 + len(m.properties)) for o, m in zip(options, found, strict=True)), key)
        several = any(sum(kind in merged.types for merged in found) > 1 for kind in ("object", "array"))
        built: list[Built] = []
        for merged in found:
            if merged.types != {"null"}:
                ambiguous = key.ambiguous or several
                node = self._nodes.build(merged, ambiguous=ambiguous, lead=self._leads.get(key))
                if node is not None and all(node.schema != other.schema for other in built):
                    built.append(node)
        null = any(merged.types == {"null"} and merged.allows(None) for merged in found)
        if not built:
            return Built({"type": "null"}, OPEN) if null else None
        schema = built[0].schema if len(built) == 1 else {"anyOf": [node.schema for node in built]}
        schema = nullable(schema) if null else schema
        description = self._reader.description(key.pointers)
        if description is not None:
            schema = {**schema, "description": description}
        shape = union([node.shape for node in built]) or OPEN
        shape = with_null(shape) if null else shape
        return Built(schema, shape, 1 + sum(node.size for node in built))

    def _spend(self, work: int, key: Key) -> None:
        """Schemas can be written that grow exponentially when their allOf and anyOf are carried out."""
        self._work += work
        if self._work > MAX_WORK:
            at = key.pointers[-1] if key.pointers else ""
            raise UnsupportedSchemaError(
                f"The schema is too large once its references and combinations are written out (at {at or '/'}). Use "
                "fewer allOf and anyOf, or fewer fields.",
                details={"problems": [{"path": at, "keyword": "allOf", "reason": "too many combinations"}]},
            )

    def _merge(self, option: Conjunction) -> Merged:
        if option not in self._merged:
            self._merged[option] = merge(self._reader, option)
        return self._merged[option]
