"""Schemas for parts of a document, and for parts of a value.

A part of a document does not state everything, so what is stated once for the document may be null in a part, and an
array may have no item in it. Arrays of a value can be left out, and their keys or items asked for alone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from local_retab.errors import RequestError
from local_retab.schema.absent import nullable

KEYS = "keys"
"""The only property of what ``keys_schema`` describes."""
_DEFINITIONS = ("$defs", "definitions", "$schema")
_UNIONS = ("anyOf", "oneOf", "allOf")
_COUNTS = ("minItems", "contains", "minContains", "maxContains", "minProperties")
_MAX_DEPTH = 32
_MAX_OPENED = 32
"""Properties of an object that is always written: each part writes all of them, mostly as null."""


def for_parts(schema: dict[str, Any]) -> dict[str, Any]:
    """A copy of ``schema`` in which scalars outside arrays may be null and arrays there may be empty.

    Objects that may be left out are not: a model leaves out all of one of which a part states little. ``unstated`` says
    which are to go afterwards. Items of arrays are as they were: an item stands in one part.
    """
    relaxed = _relaxed(schema, schema, 0)
    assert isinstance(relaxed, dict)
    return relaxed


def _relaxed(schema: Any, document: dict[str, Any], depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return schema
    schema = _followed(schema, document)
    copy = {key: value for key, value in schema.items() if key not in _COUNTS}
    for keyword in _UNIONS:
        if isinstance(copy.get(keyword), list):
            copy[keyword] = [_relaxed(option, document, depth + 1) for option in copy[keyword]]
    if isinstance(copy.get("properties"), dict):
        relaxed = {name: _relaxed(child, document, depth + 1) for name, child in copy["properties"].items()}
        # Those that may be left out are left out where they are not stated.
        required = copy.get("required", ())
        copy["properties"] = {
            name: _may_be_null(child, document) if name in required else child for name, child in relaxed.items()
        }
        opened = [name for name in _left_out(schema, document) if _is_small(copy["properties"][name])]
        copy["required"] = [*required, *opened]
    return copy


def _left_out(schema: dict[str, Any], document: dict[str, Any]) -> Iterator[str]:
    """The properties of ``schema`` that are objects and may be left out."""
    for name, child in schema.get("properties", {}).items():
        if name not in schema.get("required", ()) and isinstance(child, dict):
            node = _followed(child, document)
            if node.get("type") == "object" and isinstance(node.get("properties"), dict):
                yield name


def _is_small(schema: dict[str, Any]) -> bool:
    """Whether it has few properties at all depths, and none that could recur."""
    text = json.dumps(schema)
    return '"$ref"' not in text and sum(map(len, _properties(schema))) <= _MAX_OPENED


def _properties(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict) and isinstance(schema.get("properties"), dict):
        yield schema["properties"]
        for child in schema["properties"].values():
            yield from _properties(child)


def unstated(value: Any, schema: dict[str, Any]) -> list[tuple[str, ...]]:
    """The paths of objects in ``value`` that ``schema`` lets be left out and in which nothing is stated."""
    return list(_unstated(value, schema, schema))


def _unstated(value: Any, schema: Any, document: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    if not isinstance(value, dict) or not isinstance(schema, dict):
        return
    schema = _followed(schema, document)
    may_go = set(_left_out(schema, document))
    for name, child in schema.get("properties", {}).items():
        if name in may_go and name in value and not _states(value[name]):
            yield (name,)
        elif name in value:
            yield from ((name, *path) for path in _unstated(value[name], child, document))


def _states(value: Any) -> bool:
    """Whether there is anything in a value but nulls and empty arrays."""
    if isinstance(value, dict):
        return any(map(_states, value.values()))
    return value is not None and value != []


def _may_be_null(schema: Any, document: dict[str, Any]) -> Any:
    """``nullable``, also for a choice between scalars."""
    if isinstance(schema, dict):
        for keyword in ("anyOf", "oneOf"):
            options = schema.get(keyword)
            if isinstance(options, list) and options:
                changed = [nullable(option, document) for option in options]
                scalars = [new is not old for new, old in zip(changed, options, strict=True)]
                return {**schema, keyword: [*options, {"type": "null"}]} if all(scalars) else schema
    return nullable(schema, document)


def _followed(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """A schema with what its reference means in place of it; its own keywords go before those of the target."""
    seen: set[str] = set()
    while isinstance(reference := schema.get("$ref"), str):
        target = _target(reference, document)
        if reference in seen or target is None:
            return schema
        seen.add(reference)
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def _target(reference: str, document: dict[str, Any]) -> dict[str, Any] | None:
    here: Any = document
    if not reference.startswith("#"):
        return None
    for part in reference[1:].split("/")[1:]:
        here = here.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(here, dict) else None
    return here if isinstance(here, dict) else None


def has_array(schema: dict[str, Any]) -> bool:
    """Whether a value can have an array outside other arrays, as far as the schema's own keywords tell."""
    return _has_array(schema, schema, 0)


def _has_array(schema: Any, document: dict[str, Any], depth: int) -> bool:
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return False
    schema = _followed(schema, document)
    if schema.get("type") == "array" or "items" in schema or "prefixItems" in schema:
        return True
    children = [*schema.get("properties", {}).values(), *(option for key in _UNIONS for option in schema.get(key, ()))]
    return any(_has_array(child, document, depth + 1) for child in children)


def check_keys(schema: dict[str, Any], keys: Mapping[str, str]) -> None:
    """Raises RequestError for a path of chunking_keys that leads to no array of objects, or a key they do not have."""
    for path, key in keys.items():
        _node(_item(schema, path), schema, key, path)
    for path in keys:
        if any(path != other and path.startswith(f"{other}.") for other in keys):
            raise _wrong(path, "is inside another of them")


def without(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """``schema`` less the property at the dotted ``path``; objects that have nothing left go as well."""
    return _without(schema, schema, path.split("."))


def _without(schema: dict[str, Any], document: dict[str, Any], names: list[str]) -> dict[str, Any]:
    schema = _concrete(schema, document)
    name, *rest = names
    properties = dict(schema["properties"])
    if rest:
        properties[name] = _without(properties[name], document, rest)
    if not rest or not properties[name]["properties"]:
        del properties[name]
    required = [other for other in schema.get("required", ()) if other in properties]
    return {**schema, "properties": properties, "required": required}


def only(schema: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """``schema`` with no other properties than ``names``."""
    properties = {name: child for name, child in schema.get("properties", {}).items() if name in names}
    required = [name for name in schema.get("required", ()) if name in properties]
    return {**schema, "properties": properties, "required": required}


def keys_schema(schema: dict[str, Any], path: str, key: str) -> dict[str, Any]:
    """An object with the keys of all items of the array at ``path``, in an array of its own."""
    node = _node(_item(schema, path), schema, key, path)
    name = key.rpartition(".")[2]
    told = f"The {name} of each of the {path.replace('.', ' ')}, in the order of the document, none left out."
    node = {**node, "description": " ".join(text for text in (node.get("description"), told) if text)}
    return {
        **_surroundings(schema),
        "type": "object",
        "properties": {KEYS: {"type": "array", "items": node}},
        "required": [KEYS],
    }


def item_schema(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """One item of the array at ``path``."""
    return {**_surroundings(schema), **_item(schema, path)}


def _surroundings(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: schema[key] for key in (*_DEFINITIONS, "X-SystemPrompt") if key in schema}


def _item(schema: dict[str, Any], path: str) -> dict[str, Any]:
    array = _node(schema, schema, path, path)
    item = array.get("items")
    if not isinstance(item, dict):
        raise _wrong(path, "is not an array whose items the schema describes")
    item = _concrete(item, schema)
    if not isinstance(item.get("properties"), dict):
        raise _wrong(path, "is not an array of objects")
    return item


def _node(schema: dict[str, Any], document: dict[str, Any], path: str, shown: str) -> dict[str, Any]:
    """The schema at a dotted path of properties."""
    here = _concrete(schema, document)
    for name in path.split("."):
        properties = here.get("properties")
        child = properties.get(name) if isinstance(properties, dict) else None
        if not isinstance(child, dict):
            where = path if path == shown else f"{shown}, {path}"
            raise _wrong(where, f"has no property {name!r} in the schema")
        here = _concrete(child, document)
    return here


def _concrete(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """A schema without a reference, and of a choice between something and null the something."""
    schema = _followed(schema, document)
    for keyword in ("anyOf", "oneOf", "allOf"):
        options = [option for option in schema.get(keyword, ()) if option != {"type": "null"}]
        if len(options) == 1 and isinstance(options[0], dict):
            outer = {key: value for key, value in schema.items() if key != keyword}
            return {**_concrete(options[0], document), **outer}
    return schema


def _wrong(path: str, why: str) -> RequestError:
    return RequestError(
        f"chunking_keys: {path!r} {why}. Name arrays of objects and, for each, a field of its items, as in "
        f'{{"line_items": "number"}}.',
        details={"field": "chunking_keys"},
    )
