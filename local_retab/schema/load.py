"""Schemas in every form users have them: a dict, JSON text, a file, or a Python type. Out comes a checked dict."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from local_retab.errors import InvalidSchemaError
from local_retab.schema.dialect import dialect_of, escape
from local_retab.schema.references import References
from local_retab.settings import Settings

_WRAPPERS = frozenset({"schema", "json_schema", "schema_definition", "parameters", "input_schema"})
_NOTES = frozenset({"name", "title", "description", "strict", "type"})
CHECKED = 64
"""Schemas that are known to be right."""

SchemaSource: TypeAlias = "Mapping[str, Any] | str | os.PathLike[str] | type[Any] | Callable[..., Any]"


def load_schema(source: SchemaSource, *, settings: Settings) -> dict[str, Any]:
    """The JSON Schema of ``source`` as a new dict.

    ``source`` is a dict, JSON text, the path of a JSON file, a pydantic model, dataclass, TypedDict or other type, or a
    function, whose parameters are then the properties. A dict that is no more than a wrapper around a schema, as those
    of response formats and tools are, is read as the schema in it, since by itself it would allow any value.

    Raises InvalidSchemaError, and UnsupportedSchemaError for references that leave the document.
    """
    origin, found = _read(source, settings.max_schema_bytes)
    try:
        text = json.dumps(found, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
        schema = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidSchemaError(
            f"{origin} is not JSON: {_short(error)}. Use only objects with string keys, arrays, strings, finite "
            "numbers, true, false and null, without cycles."
        ) from error
    if size > settings.max_schema_bytes:
        raise InvalidSchemaError(
            f"{origin} has {size} bytes as compact JSON, and the limit is {settings.max_schema_bytes}. "
            "Send a smaller schema, or raise max_schema_bytes."
        )
    if not isinstance(schema, dict):
        raise InvalidSchemaError(
            f"{origin} is {_short(text)}, and a schema has to be a JSON object. Describe the fields you want."
        )
    if _deeper_than(schema, 2 * settings.max_schema_depth):
        raise InvalidSchemaError(
            f"{origin} is nested deeper than {settings.max_schema_depth} schemas. Move parts of it to $defs, or "
            "raise max_schema_depth."
        )
    inner = _unwrapped(schema)
    if inner is not schema:
        text = json.dumps(inner, ensure_ascii=False, separators=(",", ":"))
    _check(text, origin)
    return inner


def _unwrapped(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema in a wrapper, and in one within it: ``{"name": ..., "schema": {...}}`` and the like."""
    wrappers = schema.keys() & _WRAPPERS
    if len(wrappers) != 1 or schema.keys() - _WRAPPERS - _NOTES or schema.get("type", "json_schema") != "json_schema":
        return schema
    inner = schema[wrappers.pop()]
    return (
        _unwrapped(inner) if isinstance(inner, dict) and inner.keys() & {*_WRAPPERS, "type", "properties"} else schema
    )


def _read(source: Any, max_bytes: int) -> tuple[str, Any]:
    """What to call the schema in messages, and the schema."""
    if isinstance(source, Mapping):
        return "The schema", dict(source)
    if isinstance(source, str) and source.lstrip("\ufeff \t\r\n").startswith("{"):
        return "The schema", _parse("The schema", source)
    if isinstance(source, str | os.PathLike):
        return _read_file(Path(source), max_bytes)
    if source is None or isinstance(source, bool | int | float | list):
        return "The schema", source
    return _read_type(source)


def _read_file(path: Path, max_bytes: int) -> tuple[str, Any]:
    origin = f"The schema {path.name!r}"
    try:
        with path.open("rb") as file:
            data = file.read(4 * max_bytes + 1)  # files are indented; the limit itself is on compact JSON
    except (OSError, ValueError) as error:
        raise InvalidSchemaError(
            f"{origin} cannot be read: {_short(error)}. Give a dict, JSON text, or the path of a JSON file."
        ) from error
    if len(data) > 4 * max_bytes:
        raise InvalidSchemaError(
            f"{origin} has more than {4 * max_bytes} bytes. Send a smaller schema, or raise max_schema_bytes."
        )
    try:
        return origin, _parse(origin, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidSchemaError(f"{origin} is not UTF-8 text. Save it as UTF-8.") from error


def _parse(origin: str, text: str) -> Any:
    try:
        return json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise InvalidSchemaError(f"{origin} is not JSON: {_short(error)}. Correct the JSON.") from error


def _read_type(source: Any) -> tuple[str, Any]:
    """The schema of a Python type: of functions by Outlines, of all others by pydantic, as Outlines does it."""
    from jsonschema import SchemaError
    from outlines.types.dsl import JsonSchema, python_types_to_terms
    from pydantic import TypeAdapter

    name = getattr(source, "__name__", None) or _short(source)
    try:
        if isinstance(source, JsonSchema) or (callable(source) and not isinstance(source, type)):
            term = python_types_to_terms(source)
            if isinstance(term, JsonSchema):
                return f"The schema of {name}", json.loads(term.schema)
        return f"The schema of {name}", TypeAdapter(source).json_schema()
    except (TypeError, ValueError, NameError, AttributeError, RuntimeError, SchemaError) as error:
        raise InvalidSchemaError(
            f"{name} has no JSON Schema: {_short(error)}. Give a dict, JSON text, the path of a JSON file, a "
            "pydantic model, a dataclass, a TypedDict, or a function with annotated parameters."
        ) from error


def _deeper_than(value: Any, limit: int) -> bool:
    """Whether JSON is nested deeper than ``limit`` objects and arrays."""
    level = [value]
    for _ in range(limit):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


@lru_cache(CHECKED)
def _check(text: str, origin: str) -> None:
    """Each request is loaded several times on its way: what is found right once is not checked again."""
    schema = json.loads(text)
    dialect = dialect_of(schema)
    errors = dialect.validator(dialect.validator.META_SCHEMA).iter_errors(schema)
    problems = [
        {
            "path": "".join(f"/{escape(str(part))}" for part in error.absolute_path),
            "keyword": str(error.absolute_path[-1]) if error.absolute_path else "",
            "reason": error.message[:300],
        }
        for _, error in zip(range(20), errors, strict=False)
    ]
    if problems:
        first = problems[0]
        raise InvalidSchemaError(
            f"{origin} is not a JSON Schema: at {first['path'] or '/'}, {first['reason']}. Correct the schema.",
            details={"problems": problems},
        )
    References(schema, dialect)


def _short(what: object) -> str:
    text = " ".join(str(what).split())
    return text if len(text) <= 200 else text[:199] + "…"
