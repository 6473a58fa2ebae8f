"""Complements: a schema of exactly the values that are not under another one, where the grammar can hold it.

``not`` of a keyword is a union: values of the types that the keyword is not about are under the keyword, so what is
left is of its type. De Morgan's laws carry ``not`` through allOf and anyOf. Objects and arrays by their contents,
``multipleOf`` and formats have no complement here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

from local_retab.schema.complement import complement_of, words
from local_retab.schema.constants import MAX_EXCLUDED, identity
from local_retab.schema.deferred import SAYS_NOTHING

_TYPES = ("object", "array", "string", "number", "boolean", "null")
MAX_DEPTH = 8
MAX_OPTIONS = 24
_SHORTER = {"minLength": ("string", "maxLength"), "minItems": ("array", "maxItems")}
_LONGER = {"maxLength": ("string", "minLength"), "maxItems": ("array", "minItems")}
_BOUNDS = {
    "minimum": "exclusiveMaximum", "maximum": "exclusiveMinimum",
    "exclusiveMinimum": "maximum", "exclusiveMaximum": "minimum",
}  # fmt: skip
Follow = Callable[[str], Any]


def negation(schema: Any, follow: Follow, depth: int = 0) -> Any:
    """A schema of what is not under ``schema``: a dict or a bool; None where none is known.

    ``follow`` gives the schema that a ``$ref`` standing in ``schema`` leads to.
    """
    if isinstance(schema, bool):
        return not schema
    if depth > MAX_DEPTH:
        return None
    options: list[Any] = []
    for keyword in schema:
        if keyword in SAYS_NOTHING:
            continue
        found = _negated(keyword, modern(schema), follow, depth)
        if found is None:
            return None
        options += found
    return _either(options)


def modern(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with the boolean bounds of draft 4 as numbers."""
    made = dict(schema)
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(made.get(exclusive), bool) and made.pop(exclusive) and bound in made:
            made[exclusive] = made.pop(bound)
    return made


def _negated(keyword: str, schema: Mapping[str, Any], follow: Follow, depth: int) -> list[Any] | None:  # noqa: PLR0911
    """Schemas of what one keyword leaves out; None where they are not known."""
    if keyword not in schema:  # an exclusive bound of draft 4, which has become another keyword or nothing
        key = f"exclusive{keyword.capitalize()}"
        return _negated(key, schema, follow, depth) if key in schema else []
    value = schema[keyword]
    if keyword in _SHORTER:
        kind, other = _SHORTER[keyword]
        return [{"type": kind, other: int(value) - 1}] if value >= 1 else []
    if keyword in _LONGER:
        kind, other = _LONGER[keyword]
        return [{"type": kind, other: int(value) + 1}]
    if keyword in _BOUNDS:
        return [{"type": "number", _BOUNDS[keyword]: value}]
    match keyword:
        case "type":
            return _other_types(value if isinstance(value, list) else [value])
        case "const" | "enum":
            return _other_values([value] if keyword == "const" else value)
        case "pattern":
            others = complement_of(value)
            return None if others is None else [{"type": "string", "pattern": others}]
        case "not":
            return [value]
        case "allOf":
            return _each(value, follow, depth)
        case "anyOf":
            every = _each(value, follow, depth)
            return None if every is None else [_all(every)]
        case "$ref" if len(schema.keys() - SAYS_NOTHING) == 1:
            return _each([follow(value)], follow, depth)
    return None


def _each(schemas: Iterable[Any], follow: Follow, depth: int) -> list[Any] | None:
    found = [negation(schema, follow, depth + 1) for schema in schemas]
    return None if None in found else found


def _either(options: list[Any]) -> Any:
    kept = [option for option in options if option is not False]
    if True in kept or len(kept) > MAX_OPTIONS:
        return True if True in kept else None
    return {"anyOf": kept} if len(kept) > 1 else kept[0] if kept else False


def _all(schemas: list[Any]) -> Any:
    kept = [schema for schema in schemas if schema is not True]
    if False in kept:
        return False
    return {"allOf": kept} if len(kept) > 1 else kept[0] if kept else True


def _other_types(names: list[str]) -> list[Any] | None:
    if "integer" in names and "number" not in names:
        return None  # fractions have no keyword
    others = [name for name in _TYPES if name not in names]
    return [{"type": others}] if others else []


def _other_values(values: list[Any]) -> list[Any] | None:
    """All values but these, type by type."""
    if len(values) > MAX_EXCLUDED:
        return None
    found: list[Any] = []
    known = {identity(value): value for value in values}
    texts = [value for value in known.values() if isinstance(value, str)]
    numbers = [v for v in known.values() if isinstance(v, int | float) and not isinstance(v, bool)]
    touched = {name for name, some in (("string", texts), ("number", numbers)) if some}
    booleans = [value for value in known.values() if isinstance(value, bool)]
    if booleans:
        touched.add("boolean")
        found += [{"const": value} for value in (True, False) if value not in booleans]
    for kind, name, keyword in ((list, "array", "minItems"), (dict, "object", "minProperties")):
        same = [value for value in known.values() if isinstance(value, kind)]
        if any(same):
            return None
        if same:
            touched.add(name)
            found.append({"type": name, keyword: 1})
    if None in known.values():
        touched.add("null")
    if texts:
        found.append({"type": "string", "pattern": words(texts)})
    if numbers:
        found += _between(sorted(numbers))
    return [{"type": [name for name in _TYPES if name not in touched]}, *found]


def _between(numbers: list[Any]) -> list[Any]:
    """The numbers before, between and after some."""
    parts: list[dict[str, Any]] = [{"type": "number", "exclusiveMaximum": numbers[0]}]
    parts += [{"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": high} for low, high in pairwise(numbers)]
    return [*parts, {"type": "number", "exclusiveMinimum": numbers[-1]}]
