"""The dialects of JSON Schema: which keywords hold subschemas, and which rules of which draft apply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

SINGLE = frozenset(
    {
        "additionalItems", "additionalProperties", "contains", "else", "if", "items", "not", "propertyNames",
        "then", "unevaluatedItems", "unevaluatedProperties",
    }
)  # fmt: skip
LISTS = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
MAPS = frozenset({"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"})

_NAMES = {
    "http://json-schema.org/draft-04/schema": "Draft4Validator",
    "http://json-schema.org/draft-06/schema": "Draft6Validator",
    "http://json-schema.org/draft-07/schema": "Draft7Validator",
    "https://json-schema.org/draft/2019-09/schema": "Draft201909Validator",
    "https://json-schema.org/draft/2020-12/schema": "Draft202012Validator",
}
_NEWEST_FIRST = ("Draft202012Validator", "Draft7Validator", "Draft4Validator")


@dataclass(frozen=True, slots=True)
class Dialect:
    """One draft: the jsonschema class that implements it, and what differs in how schemas are read."""

    validator: type[Validator]
    ref_stands_alone: bool  # draft 7 and older: keywords beside $ref do not count
    id_keyword: str
    keywords: frozenset[str]  # that values are checked against


def dialect_of(schema: Mapping[str, Any]) -> Dialect:
    """The dialect that ``$schema`` names; without a known one, the newest in which the schema's spellings exist."""
    import jsonschema

    declared = schema.get("$schema")
    name = _NAMES.get(declared.rstrip("#")) if isinstance(declared, str) else None
    if name is None:
        name = max(_spelling(schema), key=_NEWEST_FIRST.index)
    validator: type[Validator] = getattr(jsonschema, name)
    return Dialect(
        validator=validator,
        ref_stands_alone=name in {"Draft4Validator", "Draft6Validator", "Draft7Validator"},
        id_keyword="id" if name == "Draft4Validator" else "$id",
        keywords=frozenset({*validator.VALIDATORS, "dependencies"}),
    )


def _spelling(schema: Mapping[str, Any]) -> Iterator[str]:
    """For each spelling that newer drafts do not have, the newest draft that has it."""
    yield "Draft202012Validator"
    pending: list[Any] = [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            if isinstance(node.get("exclusiveMinimum"), bool) or isinstance(node.get("exclusiveMaximum"), bool):
                yield "Draft4Validator"
            if isinstance(node.get("items"), list):
                yield "Draft7Validator"
            pending += [child for _, child in subschemas(node, "")]


def subschemas(schema: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    """The direct subschemas of one schema, each with its JSON pointer."""
    if not isinstance(schema, dict):
        return
    for keyword, value in schema.items():
        at = f"{pointer}/{escape(keyword)}"
        if keyword in SINGLE and isinstance(value, dict | bool):
            yield at, value
        elif keyword in LISTS and isinstance(value, list):
            yield from ((f"{at}/{index}", item) for index, item in enumerate(value))
        elif keyword in MAPS and isinstance(value, dict):
            for name, item in value.items():
                if isinstance(item, dict | bool):  # `dependencies` also holds lists of names
                    yield f"{at}/{escape(name)}", item


def escape(name: str) -> str:
    """A key as one segment of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def unescape(segment: str) -> str:
    """The key that one segment of a JSON pointer means (RFC 6901)."""
    return segment.replace("~1", "/").replace("~0", "~")
