"""One alternative of a node of the inference schema, built from its merged keywords."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from local_retab.schema import printed
from local_retab.schema.conjunction import Conjunction, Conjunctions
from local_retab.schema.ecma import translate
from local_retab.schema.hidden import Hidden, HiddenFields
from local_retab.schema.limits import contradict, held, refused, scalar_limits, within, without
from local_retab.schema.merging import TYPES, Merged
from local_retab.schema.patterns import searcher
from local_retab.schema.presence import ALWAYS, KEYWORD, Case, Condition, both
from local_retab.schema.shape import OPEN, Shape, union, with_null

ATOMIC = Shape(atomic=True)
LISTED = Shape(atomic=True, listed=True)
NUMBERS = {name: Shape(number=name) for name in ("integer", "number")}
_COUNTS = ("minItems", "maxItems")


@dataclass(frozen=True, slots=True)
class Built:
    """A node of the inference schema, its shape, and how many nodes it has."""

    schema: dict[str, Any]
    shape: Shape
    size: int = 1

    @property
    def is_leaf(self) -> bool:
        """Whether it is a scalar or an array of scalars."""
        node = self.schema.get("items", self.schema)
        return isinstance(node, dict) and not node.keys() & {"properties", "anyOf", "$ref", "items", "prefixItems"}


class Children(Protocol):
    """What builds the nodes below: the whole document's inference schema."""

    def node(self, pointers: Conjunction, *, ambiguous: bool, lead: Hidden | None = None) -> Built | None:
        """The node of a conjunction; None when no value is under it."""

    def allows_null(self, pointers: Conjunction) -> bool:
        """Whether the caller's schema surely allows null."""


class Nodes:
    """Builds alternatives, and defers what the grammar cannot hold of them."""

    __slots__ = ("_children", "_hidden", "_max_string_chars", "_reader")

    def __init__(self, reader: Conjunctions, hidden: HiddenFields, children: Children, max_string_chars: int) -> None:
        self._reader = reader
        self._hidden = hidden
        self._children = children
        self._max_string_chars = max_string_chars

    def build(self, merged: Merged, *, ambiguous: bool, lead: Hidden | None) -> Built | None:
        """The node of ``merged``; None when no value is under it.

        ``ambiguous``: optional properties stay optional. ``lead``: the first property, when it is an object.
        """
        if merged.types != {"object"} or merged.values is not None:
            self._defer_conditions(merged)
        if merged.values is not None:
            values = [value for value in merged.values if merged.allows_type(value) and within(value, merged)]
            return Built({"enum": values}, LISTED) if values else None
        if merged == Merged(types=frozenset(TYPES) - {"integer"}):
            return Built({}, OPEN)
        types = [name for name in TYPES if name in merged.types]
        scalars = scalar_limits(self._reader, merged, types, max_string_chars=self._max_string_chars)
        parts: list[Built] = []
        if "object" in types:
            parts += self._kept("object", types, self._object(merged, ambiguous=ambiguous, lead=lead))
        if "array" in types:
            parts += self._kept("array", types, self._array(merged, ambiguous=ambiguous))
        if not types:
            return None
        schema = {"type": types[0] if len(types) == 1 else types, **scalars}
        for part in parts:
            schema |= part.schema
        special = [ATOMIC] if scalars.keys() & {"pattern", "format"} else []
        if not scalars.keys() - {"maxLength"}:
            special += [NUMBERS[name] for name in types if name in NUMBERS]
        shape = union([*special, *(part.shape for part in parts)]) or OPEN
        shape = with_null(shape) if "null" in types else shape
        return Built(schema, shape, 1 + sum(part.size for part in parts))

    def _kept(self, kind: str, types: list[str], part: Built | None) -> list[Built]:
        if part is None:
            types.remove(kind)
            return []
        return [part]

    def _object(self, merged: Merged, *, ambiguous: bool, lead: Hidden | None) -> Built | None:
        properties: dict[str, Any] = {}
        shapes: dict[str, Shape] = {}
        required: list[str] = []
        droppable: list[str] = []
        hidden = [lead] if lead else []
        properties.update((field.name, field.schema) for field in hidden)
        required.extend(properties)
        size = 1
        order = generation_order(list(merged.properties), merged.required)
        for name in order:
            pointers = merged.properties[name]
            built = self._children.node(pointers, ambiguous=ambiguous)
            needed = name in merged.required
            if built is None:
                if needed:
                    return None
                properties[name] = False
                continue
            added = self._hidden.before(name, pointers, is_leaf=built.is_leaf)
            hidden += added
            properties.update((field.name, field.schema) for field in added)
            properties[name], shapes[name] = self._printed(name, built.schema), built.shape
            size += built.size
            if not (needed or ambiguous or self._children.allows_null(pointers)):
                properties[name] = nullable(properties[name])
                shapes[name] = with_null(built.shape)
                droppable.append(name)
            if needed or not ambiguous:
                required += [*(field.name for field in added), name]
        schema = {"properties": properties, "required": required}
        others = self._others(merged, schema, ambiguous=ambiguous)
        if others is None:
            schema["properties"] = {key: value for key, value in properties.items() if value is not False}
        if not self._conditions(merged, schema, shapes, set(droppable), ambiguous=ambiguous):
            return None
        self._counts(merged, schema, fixed=not (hidden or droppable) and len(required) == len(properties))
        shape = Shape(
            properties=shapes,
            additional=None if others is None else others.shape,
            hidden=frozenset(field.name for field in hidden),
            droppable=frozenset(droppable),
            order=tuple(merged.properties) if order != list(merged.properties) else (),
        )
        return Built({key: value for key, value in schema.items() if value not in ({}, [])}, shape, size)

    def _printed(self, name: str, schema: dict[str, Any]) -> dict[str, Any]:
        if self._reader.wide or not printed.is_date(name, schema):
            return schema
        return {**schema, printed.KEYWORD: "date"}

    def _others(self, merged: Merged, schema: dict[str, Any], *, ambiguous: bool) -> Built | None:
        """Sets what the object may hold beside its properties; their node, or None for a closed object."""
        patterns = {
            translate(pattern): self._children.node(pointers, ambiguous=ambiguous)
            for pattern, pointers in merged.patterns.items()
        }
        if merged.additional is None:
            described = merged.properties or patterns
            additional = None if described and not self._reader.wide else Built({}, OPEN)
        else:
            additional = self._children.node(merged.additional, ambiguous=ambiguous)
        schema["additionalProperties"] = False if additional is None else additional.schema or True
        if not patterns:
            return additional
        keys = {key: False if node is None else node.schema for key, node in patterns.items()}
        plain: dict[str, Any] = {key: value is not False for key, value in keys.items()}
        if _touches(schema["properties"], patterns) or refused({"type": "object", "patternProperties": plain}):
            schema["additionalProperties"] = _any_of([*patterns.values(), additional])
            for pointers in merged.patterns.values():
                at = pointers[0].rpartition("/patternProperties/")[0]
                reason = "the patterns overlap the properties or each other"
                self._reader.defer(at, "patternProperties", reason)
        else:
            schema["patternProperties"] = keys
        shapes = [node.shape for node in (*patterns.values(), additional) if node is not None]
        return Built({}, union(shapes) or OPEN)

    def _counts(self, merged: Merged, schema: dict[str, Any], *, fixed: bool) -> None:
        """Sets minProperties and maxProperties where the model's keys are the caller's keys."""
        closed = schema["additionalProperties"] is False and "patternProperties" not in schema
        for keyword, idle in (
            ("minProperties", merged.limits.get("minProperties", 0) <= len(merged.required)),
            ("maxProperties", closed and merged.limits.get("maxProperties", 0) >= len(merged.properties)),
        ):
            if keyword not in merged.limits or idle:
                continue
            limit = {keyword: merged.limits[keyword]}
            if fixed and not closed and not refused({"type": "object", **limit}):
                schema |= limit
            else:
                self._reader.defer(merged.stands[keyword], keyword, "absent keys are null until the end")

    def _conditions(
        self, merged: Merged, schema: dict[str, Any], shapes: dict[str, Shape], droppable: set[str], *, ambiguous: bool
    ) -> bool:
        """Sets the cases of the object, where the keys that they are about are all declared; whether there are any."""
        found: Condition | None = ALWAYS
        for _, _, said in merged.conditions:
            found = both(found, said)
        names = {name for case in found or () for name in case.names()}
        closed = schema["additionalProperties"] is False and "patternProperties" not in schema
        if found is None or not (closed or names <= schema["properties"].keys()):
            self._defer_conditions(merged)
            return found != ()
        possible = {name for name, node in schema["properties"].items() if node is not False}
        always = {name for name in possible.intersection(schema["required"]) if name not in droppable}
        cases = []
        for case in found:
            nodes = {
                name: self._held_in(case, name, merged.properties[name], ambiguous=ambiguous)
                for name in sorted({name for name, _ in (*case.among, *case.held)} & possible)
            }
            gone = case.absent & possible | {name for name, built in nodes.items() if built is None}
            if not case.present <= possible - gone or gone & always:
                continue
            other: dict[str, Any] = {}
            for name, built in nodes.items():
                if built is None:
                    continue
                made = self._printed(name, built.schema)
                made = nullable(made) if name in droppable else made
                if made != schema["properties"][name]:
                    other[name] = made
                    shapes[name] = union([shapes[name], built.shape]) or OPEN
            cases.append({"present": sorted(case.present - always), "absent": sorted(gone), "held": other})
        if not cases:
            self._defer_conditions(merged)
        elif not any(case == {"present": [], "absent": [], "held": {}} for case in cases):
            schema[KEYWORD] = cases
        return found != ()

    def _held_in(self, case: Case, name: str, pointers: Conjunction, *, ambiguous: bool) -> Built | None:
        """The node of a property in a case."""
        made = [self._reader.made(pointers, known) for key, known in case.among if key == name]
        further = sorted(pointer for key, pointer in case.held if key == name)
        return self._children.node(tuple(dict.fromkeys((*pointers, *made, *further))), ambiguous=ambiguous)

    def _defer_conditions(self, merged: Merged) -> None:
        for pointer, keyword, _ in merged.conditions:
            self._reader.defer(pointer, keyword, "depends on which keys are present")

    def _array(self, merged: Merged, *, ambiguous: bool) -> Built | None:
        counts: dict[str, Any] = {key: merged.limits[key] for key in _COUNTS if key in merged.limits}
        if contradict(counts):
            return None
        schema: dict[str, Any] = held(self._reader, merged, "array", counts)
        prefix: list[Built] = []
        for pointers in merged.prefix:
            built = self._children.node(pointers, ambiguous=ambiguous)
            if built is None:
                break
            prefix.append(built)
        items: Built | None = None
        if len(prefix) == len(merged.prefix):
            lead = self._hidden.leading("item", merged.rest)
            items = self._children.node(merged.rest, ambiguous=ambiguous, lead=lead)
        if prefix:
            schema["prefixItems"] = [node.schema for node in prefix]
        if items is None:
            if counts.get("minItems", 0) > len(prefix):
                return None
            schema["items"] = False
        elif items.schema:
            schema["items"] = items.schema
        shape = Shape(items=items.shape if items else None, prefix_items=tuple(node.shape for node in prefix))
        return Built(schema, shape, 1 + sum(node.size for node in prefix) + (items.size if items else 0))


def generation_order(names: list[str], required: list[str]) -> list[str]:
    """The order in which a model writes properties.

    It is the caller's, but for properties in alphabetical order whose ``required`` is not: there a program sorted
    the keys and the author's order, which keeps what belongs together together, survives in ``required``.
    """
    listed = [name for name in required if name in names]
    if names != sorted(names) or listed == sorted(listed):
        return names
    return list(dict.fromkeys([*listed, *names]))


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """``schema`` or null."""
    if "enum" in schema:
        return schema if None in schema["enum"] else {**schema, "enum": [*schema["enum"], None]}
    if "type" in schema:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        return schema if "null" in types else {**schema, "type": [*types, "null"]}
    inner = without(schema, "description")
    if not inner:
        return schema
    outer = {"description": schema["description"]} if "description" in schema else {}
    return {"anyOf": [*inner.get("anyOf", [inner]), {"type": "null"}], **outer}


def _any_of(nodes: list[Built | None]) -> Any:
    """The union of nodes, as a key may be under any of them; False when no value is under one."""
    known = [node.schema for node in nodes if node is not None]
    different = [schema for index, schema in enumerate(known) if schema not in known[:index]]
    if not different or {} in different:
        return bool(different)
    return different[0] if len(different) == 1 else {"anyOf": different}


def _touches(properties: Mapping[str, Any], patterns: Mapping[str, Built | None]) -> bool:
    """Whether the grammar would hold a declared or hidden property to a pattern's schema a second time."""
    searches = [searcher(pattern) for pattern, node in patterns.items() if node is None or node.schema]
    return any(search is None or search(name) for search in searches for name in properties)
