"""What of a value under the inference schema the caller sees: one rule for streamed parts and finished values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Shape:
    """One node of the inference schema, as far as showing its value goes.

    A node that only points elsewhere (``reference``, ``alternatives``) is never handed out: ``child`` and ``resolve``
    return nodes whose other fields hold.
    """

    properties: Mapping[str, Shape] = field(default_factory=dict)
    additional: Shape | None = None  # values of keys outside ``properties``
    items: Shape | None = None  # elements after ``prefix_items``
    prefix_items: tuple[Shape, ...] = ()
    hidden: frozenset[str] = frozenset()  # keys that are never shown
    droppable: frozenset[str] = frozenset()  # keys whose null stands for absence
    atomic: bool = False  # a string here is shown only when complete: enum, const, format or pattern
    listed: bool = False  # an enum or const: what stands here is a value that the schema names
    nullable: bool = False  # null may stand here
    number: str = ""  # "integer" or "number" where any such may stand here, also where a string may
    order: tuple[str, ...] = ()  # the caller's order of keys, where the model writes them in another
    alternatives: tuple[Shape, ...] = ()  # a union: the value is under one of these
    reference: str | None = None  # a key of ``definitions``, which lets schemas recur
    definitions: Mapping[str, Shape] = field(default_factory=dict, compare=False, repr=False)
    _joined: list[Shape] = field(default_factory=list, init=False, compare=False, repr=False)

    def resolve(self) -> Shape:
        """This node with references followed and alternatives joined."""
        if self.reference is not None:
            return self.definitions[self.reference].resolve()
        if self.alternatives:
            # Kept: an array asks for the shape of its items once an item.
            if not self._joined:
                self._joined.append(_join([shape.resolve() for shape in self.alternatives]))
            return self._joined[0]
        return self

    def arranged(self, value: dict[str, Any]) -> dict[str, Any]:
        """An object's visible members in the caller's order; ``value`` itself where that is the model's."""
        if not self.order:
            return value
        first = {key: value[key] for key in self.order if key in value}
        return first | value

    def child(self, key: str | int) -> Shape:
        """The resolved node of a property (str) or an element (int); OPEN where the schema says nothing."""
        found: Shape | None
        if isinstance(key, str):
            found = self.properties.get(key, self.additional)
        else:
            found = self.prefix_items[key] if key < len(self.prefix_items) else self.items
        return OPEN if found is None else found.resolve()


OPEN = Shape()


def with_null(shape: Shape) -> Shape:
    """The shape of a value that is under ``shape`` or null."""
    return shape if shape.nullable or shape.reference or shape.alternatives else replace(shape, nullable=True)


def union(shapes: Sequence[Shape | None]) -> Shape | None:
    """The shape of a value that is under one of ``shapes``."""
    known = tuple({id(shape): shape for shape in shapes if shape is not None and shape is not OPEN}.values())
    if len(known) < 2:
        return known[0] if known else None
    return Shape(alternatives=known)


def _join(shapes: Sequence[Shape]) -> Shape:
    """A union in one node. A null is dropped only where every alternative that knows the key drops it."""
    names = dict.fromkeys(name for shape in shapes for name in shape.properties)
    length = max(len(shape.prefix_items) for shape in shapes)
    droppable = {name for name in names if all(name in shape.droppable for shape in shapes if name in shape.properties)}
    return Shape(
        properties={
            name: union([shape.properties.get(name, shape.additional) for shape in shapes]) or OPEN for name in names
        },
        additional=union([shape.additional for shape in shapes]),
        items=union([shape.items for shape in shapes]),
        prefix_items=tuple(
            union([shape.prefix_items[i] if i < len(shape.prefix_items) else shape.items for shape in shapes]) or OPEN
            for i in range(length)
        ),
        hidden=frozenset().union(*(shape.hidden for shape in shapes)),
        droppable=frozenset(droppable),
        order=tuple(dict.fromkeys(name for shape in shapes for name in shape.order or shape.properties))
        if any(shape.order for shape in shapes)
        else (),
        atomic=any(shape.atomic for shape in shapes),
        listed=any(shape.listed for shape in shapes),
        nullable=any(shape.nullable for shape in shapes),
        number=max(shape.number for shape in shapes),  # a number may be an integer
    )


def project(value: Any, shape: Shape) -> Any:
    """The caller's part of ``value``: without hidden keys, and without nulls that stand for absence."""
    if isinstance(value, dict):
        visible = {
            key: project(item, shape.child(key))
            for key, item in value.items()
            if key not in shape.hidden and not (item is None and key in shape.droppable)
        }
        return shape.arranged(visible)
    if isinstance(value, list):
        return [project(item, shape.child(index)) for index, item in enumerate(value)]
    return value
