"""One alternative of a conjunction as one set of keywords: the intersection, or a superset and a deferred keyword."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import gcd, lcm
from typing import Any

from local_retab.schema.conjunction import Conjunction, Conjunctions
from local_retab.schema.constants import identity
from local_retab.schema.dialect import escape
from local_retab.schema.formats import CHECKED, HELD, WHOLE
from local_retab.schema.lookaround import without_lookaround
from local_retab.schema.negation import modern
from local_retab.schema.patterns import searcher
from local_retab.schema.presence import Condition
from local_retab.schema.references import MADE

TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_EVERY = frozenset(TYPES) - {"integer"}
_NUMERIC = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
_TEXTUAL = {"minLength", "maxLength", "pattern", "format"}
_OBJECT = {
    "properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties",
    "propertyNames", "dependencies", "dependentRequired", "dependentSchemas", "unevaluatedProperties",
}  # fmt: skip
_ARRAY = {
    "items",
    "prefixItems",
    "additionalItems",
    "minItems",
    "maxItems",
    "uniqueItems",
    "contains",
    "unevaluatedItems",
}
_TYPE_OF = {
    **dict.fromkeys(_NUMERIC, "number"), **dict.fromkeys(_TEXTUAL, "string"),
    **dict.fromkeys(_OBJECT, "object"), **dict.fromkeys(_ARRAY, "array"),
}  # fmt: skip


def _common_multiple(left: Any, right: Any) -> Any:
    """The least number that is a multiple of both."""
    one, other = Fraction(str(left)), Fraction(str(right))
    found = Fraction(lcm(one.numerator, other.numerator), gcd(one.denominator, other.denominator))
    return found.numerator if found.denominator == 1 else float(found)


_JOIN: Mapping[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
    "multipleOf": _common_multiple,
}
_SINGLE = ("pattern", "format")


@dataclass(slots=True)
class Merged:
    """The keywords of one alternative. Children are conjunctions; an absent child schema is the empty one, ()."""

    types: frozenset[str]
    values: list[Any] | None = None  # of enum and const
    limits: dict[str, Any] = field(default_factory=dict)  # numeric, textual and counting keywords
    stands: dict[str, str] = field(default_factory=dict)  # pointer of the schema that each limit comes from
    further: dict[str, str] = field(default_factory=dict)  # patterns beside that of ``limits``, each with its pointer
    properties: dict[str, Conjunction] = field(default_factory=dict)
    required: list[str] = field(default_factory=list)
    patterns: dict[str, Conjunction] = field(default_factory=dict)
    additional: Conjunction | None = None  # None: the caller does not mention other keys
    prefix: list[Conjunction] = field(default_factory=list)
    rest: Conjunction = ()
    conditions: list[tuple[str, str, Condition]] = field(default_factory=list)  # with pointer and keyword
    # As JSON Schema says, where a schema without ``type`` is about values of every type.
    whole: frozenset[str] = field(default=frozenset(), compare=False)

    def allows(self, value: Any) -> bool:
        """Whether the type and the enumerated values allow ``value``."""
        known = self.values is None or any(identity(value) == identity(other) for other in self.values)
        return known and self.allows_type(value)

    def allows_type(self, value: Any) -> bool:
        """Whether the type allows ``value``."""
        return bool(types_of(value) & self.types)


def merge(reader: Conjunctions, pointers: Conjunction) -> Merged:
    """Merge the schemas at ``pointers``, an alternative that ``Conjunctions.expand`` gave."""
    schemas = [(pointer, modern(reader.schema(pointer))) for pointer in pointers]
    merged = Merged(types=frozenset())
    declared: frozenset[str] | None = None
    left: frozenset[str] | None = None  # by what was made of ``not``
    for pointer, schema in schemas:
        merged.conditions += [(pointer, *known) for known in reader.conditions.get(pointer, {}).items()]
        if "type" in schema:
            names = frozenset(schema["type"] if isinstance(schema["type"], list) else [schema["type"]])
            if MADE in pointer:
                left = names if left is None else shared_types(left, names)
            else:
                declared = names if declared is None else shared_types(declared, names)
        for values in ([schema["const"]] if "const" in schema else None, schema.get("enum")):
            if values is not None:
                merged.values = _common(values if merged.values is None else merged.values, values)
        _limits(reader, merged, pointer, schema)
    if declared is not None:
        merged.types = declared
    else:
        own = [(pointer, schema) for pointer, schema in schemas if MADE not in pointer]
        merged.types = _EVERY if reader.wide else _inferred(own, merged)
    merged.whole = _EVERY if declared is None else declared
    if left is not None:
        merged.types, merged.whole = shared_types(merged.types, left), shared_types(merged.whole, left)
    _keys(reader, merged, schemas)
    _elements(merged, schemas)
    return merged


def shared_types(left: frozenset[str], right: frozenset[str]) -> frozenset[str]:
    """The types of both; an integer is also a number."""
    both = left & right
    if "integer" in left | right and "number" in left | right:
        both |= {"integer"} if "number" not in both else frozenset()
    return both


def types_of(value: Any) -> frozenset[str]:
    """The names of the types that a value is of."""
    if isinstance(value, bool):
        return frozenset({"boolean"})
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return frozenset({"integer", "number"})
    names = {type(None): "null", float: "number", str: "string", list: "array", dict: "object"}
    return frozenset({names[type(value)]})


def _inferred(schemas: Iterable[tuple[str, dict[str, Any]]], merged: Merged) -> frozenset[str]:
    """Without ``type``: the types that the keywords are about. JSON Schema would allow all others as well."""
    if merged.values is not None:
        return _EVERY
    about = {_TYPE_OF[key] for _, schema in schemas for key in schema if key in _TYPE_OF}
    return frozenset(about | ({"object"} if merged.conditions else set())) or _EVERY


def _common(left: list[Any], right: list[Any]) -> list[Any]:
    known = {identity(value) for value in right}
    return list({key: value for value in left if (key := identity(value)) in known}.values())


def _limits(reader: Conjunctions, merged: Merged, pointer: str, schema: dict[str, Any]) -> None:
    for key in (*_JOIN, *_SINGLE):
        if key not in schema:
            continue
        value = schema[key]
        if key == "pattern":
            _patterns(merged, pointer, value)
        elif key == "format" and value not in (WHOLE if reader.wide else HELD):
            if value in CHECKED:
                reader.defer(pointer, key, "the grammar does not know the format")
        elif key not in merged.limits:
            merged.limits[key], merged.stands[key] = value, pointer
        elif key in _SINGLE:
            if value != merged.limits[key]:
                reader.defer(pointer, key, "another schema that applies here has the same keyword")
        else:
            merged.limits[key] = _JOIN[key](merged.limits[key], value)


def _patterns(merged: Merged, pointer: str, pattern: str) -> None:
    for part in without_lookaround(pattern) or (pattern,):
        if merged.limits.setdefault("pattern", part) == part:
            merged.stands.setdefault("pattern", pointer)
        else:
            merged.further.setdefault(part, pointer)


def _keys(reader: Conjunctions, merged: Merged, schemas: list[tuple[str, dict[str, Any]]]) -> None:
    merged.required = list(dict.fromkeys(name for _, schema in schemas for name in schema.get("required", ())))
    declared = [name for _, schema in schemas for name in schema.get("properties", ())]
    for name in dict.fromkeys((*declared, *merged.required)):
        found = (at for pointer, schema in schemas for at in _about(pointer, schema, name))
        merged.properties[name] = tuple(dict.fromkeys(found))
    for name, places in _conditional(reader, [pointer for pointer, _ in schemas]).items():
        if name not in merged.properties and merged.properties:
            others = tuple(at for pointer, schema in schemas for at in _about(pointer, schema, name))
            merged.properties[name] = (*others, *(places if len(places) == 1 and not reader.wide else ()))
    for pointer, schema in schemas:
        for pattern in schema.get("patternProperties", ()):
            here = [f"{pointer}/patternProperties/{escape(pattern)}"]
            for other, beside in schemas:
                if other == pointer:
                    continue
                if pattern in beside.get("patternProperties", ()):
                    here.append(f"{other}/patternProperties/{escape(pattern)}")
                elif beside.get("patternProperties"):
                    reader.defer(other, "patternProperties", "patterns of two schemas apply to the same object")
                elif "additionalProperties" in beside:
                    here.append(f"{other}/additionalProperties")
            merged.patterns.setdefault(pattern, tuple(here))
    mentioned = [f"{pointer}/additionalProperties" for pointer, schema in schemas if "additionalProperties" in schema]
    merged.additional = tuple(mentioned) if mentioned else None


def _conditional(reader: Conjunctions, pointers: Iterable[str]) -> dict[str, list[str]]:
    """The properties that apply only under a condition, each with its places: a closed object has to admit them."""
    found: dict[str, list[str]] = {}
    pending, seen = list(pointers), set(pointers)
    while pending:
        pointer = pending.pop(0)
        schema = reader.schema(pointer)
        branches: list[str] = [keyword for keyword in ("then", "else") if keyword in schema and "if" in schema]
        for keyword in ("dependentSchemas", "dependencies"):
            named = schema.get(keyword, {}).items()
            branches += [f"{keyword}/{escape(name)}" for name, branch in named if isinstance(branch, dict)]
        inner = {at for branch in branches for option in reader.expand((f"{pointer}/{branch}",)) for at in option}
        for at in sorted(inner - seen):
            for name in reader.schema(at).get("properties", ()):
                found.setdefault(name, []).append(f"{at}/properties/{escape(name)}")
        pending += sorted(inner - seen)
        seen |= inner
    return found


def _about(pointer: str, schema: dict[str, Any], name: str) -> Iterable[str]:
    """The subschemas of one schema that apply to the property ``name``."""
    found = [f"{pointer}/properties/{escape(name)}"] if name in schema.get("properties", ()) else []
    for pattern in schema.get("patternProperties", ()):
        search = searcher(pattern)
        if search is not None and search(name):
            found.append(f"{pointer}/patternProperties/{escape(pattern)}")
    if not found and "additionalProperties" in schema:
        found.append(f"{pointer}/additionalProperties")
    return found


def _elements(merged: Merged, schemas: list[tuple[str, dict[str, Any]]]) -> None:
    rows: list[tuple[list[str], Conjunction]] = []
    for pointer, schema in schemas:
        keyword = "items" if isinstance(schema.get("items"), list) else "prefixItems"
        rest = "additionalItems" if keyword == "items" else "items"
        first = [f"{pointer}/{keyword}/{index}" for index in range(len(schema.get(keyword, ())))]
        rows.append((first, (f"{pointer}/{rest}",) if rest in schema else ()))
    for index in range(max((len(first) for first, _ in rows), default=0)):
        each = ((first[index],) if index < len(first) else rest for first, rest in rows)
        merged.prefix.append(tuple(pointer for part in each for pointer in part))
    merged.rest = tuple(pointer for _, rest in rows for pointer in rest)
