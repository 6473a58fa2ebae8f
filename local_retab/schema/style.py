"""How the JSON of a schema is written: without blanks where that is enough, and laid out as most JSON where not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

SEPARATORS = (",", ":")
"""Of JSON without blanks, as ``json.dumps`` takes them."""
COMPACT = {"whitespace_flexible": False, "item_separator": SEPARATORS[0], "key_separator": SEPARATORS[1]}
"""Fixed separators, so that keys and punctuation are forced tokens; without blanks, as tokenizers have `","` and `":"`
in one token."""
LAID_OUT = {"whitespace_flexible": True, "whitespace_pattern": r" |\n {0,60}"}
"""A blank or the indentation of one line anywhere between tokens, as the model likes."""


def options(inference: Mapping[str, Any]) -> dict[str, Any]:
    """The options of llguidance for an inference schema.

    Small models lose track of nested JSON without lines: they close lists of objects after their first item. One list
    of flat objects, as a table has them, they write well in either way, and in half of the decode calls without.
    """
    definitions = inference.get("$defs", {})
    lists = [node for schema in (inference, *definitions.values()) for node in _lists(schema)]
    holding = [items for items in (_resolved(node["items"], definitions) for node in lists) if _is_object(items)]
    several = len(holding) > 1 or any(_holds_objects(items, definitions) for items in holding)
    return LAID_OUT if several else COMPACT


def _nodes(schema: Any) -> Iterator[Mapping[str, Any]]:
    """A schema and all below it, without definitions."""
    if not isinstance(schema, Mapping):
        return
    yield schema
    for keyword in ("properties", "patternProperties"):
        for child in schema.get(keyword, {}).values():
            yield from _nodes(child)
    for keyword in ("anyOf", "prefixItems"):
        for child in schema.get(keyword, ()):
            yield from _nodes(child)
    for keyword in ("items", "additionalProperties"):
        yield from _nodes(schema.get(keyword))


def _lists(schema: Any) -> Iterator[Mapping[str, Any]]:
    return (node for node in _nodes(schema) if "items" in node)


def _resolved(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """The schema, or the definition that it refers to."""
    if isinstance(schema, Mapping) and "$ref" in schema:
        return definitions.get(schema["$ref"].rpartition("/")[2])
    return schema


def _is_object(schema: Any) -> bool:
    return any("properties" in node for node in _alternatives(schema))


def _alternatives(schema: Any) -> list[Mapping[str, Any]]:
    if not isinstance(schema, Mapping):
        return []
    return [schema, *(option for option in schema.get("anyOf", ()) if isinstance(option, Mapping))]


def _holds_objects(items: Any, definitions: Mapping[str, Any]) -> bool:
    """Whether an object has an object, or a list of them, in it."""
    below = [child for node in _alternatives(items) for child in node.get("properties", {}).values()]
    inner = [node for child in below for node in _nodes(child)]
    return any(_is_object(_resolved(node, definitions)) for node in inner)
