"""The template that the model is shown: the inference schema as typed JSON, several times shorter than the schema.

::

    {
      "number": string, // Invoice number
      "issued": date YYYY-MM-DD or null,
      "lines": [{ // One for each line of the table
        "amount": number,
        "kind": "goods" | "service"
      }, ...]
    }

A ``?`` after a key says that it may be left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from local_retab.schema.hidden import LINE

MAX_COMMENT_CHARS = 400
MAX_VALUES = 30
MAX_PATTERN_CHARS = 100
SHORT_STRING_CHARS = 100  # longer limits are not worth a word
_FORMATS: Mapping[str, str] = {
    "date": "date YYYY-MM-DD",
    "date-time": "date-time YYYY-MM-DDThh:mm:ssZ",
    "time": "time hh:mm:ssZ",
    "duration": "duration such as P1DT2H",
}
_BOUNDS = (("minimum", ">="), ("exclusiveMinimum", ">"), ("maximum", "<="), ("exclusiveMaximum", "<"))


def render_template(inference: dict[str, Any]) -> str:
    """The template of an inference schema. Pure and deterministic; never raises for what ``plan_schema`` builds.

    Descriptions are the caller's text: on one line, and at most MAX_COMMENT_CHARS characters.
    """
    parts = [_node(inference, "", comment=True)]
    for name, definition in inference.get("$defs", {}).items():
        if name == LINE:
            continue
        parts.append(f"where {name} is {_node(definition, '', comment=True)}")
    return "\n".join(parts)


def _node(schema: Any, indent: str, *, comment: bool = False) -> str:
    """One node; with ``comment`` a node of several lines has its description after its first bracket."""
    if not isinstance(schema, dict) or not schema.keys() - {"description", "$defs"}:
        text = "any JSON value"
    elif "$comment" in schema:
        text = f'"<{schema["$comment"]}>"' if schema["type"] == "string" else f"<{schema['$comment']}>"
    elif "$ref" in schema:
        text = schema["$ref"].rpartition("/")[2]
    elif "enum" in schema:
        text = _values(schema["enum"])
    elif "anyOf" in schema:
        text = " or ".join(dict.fromkeys(_node(option, indent, comment=True) for option in schema["anyOf"]))
    else:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        text = " or ".join(_kind(kind, schema, indent) for kind in kinds)
    note = _comment(schema) if comment else ""
    if not note:
        return text
    first, newline, rest = text.partition("\n")
    return f"{first}{note}{newline}{rest}" if newline else f"{text}{note}"


def _kind(kind: str, schema: dict[str, Any], indent: str) -> str:
    if kind == "object":
        return _object(schema, indent)
    if kind == "array":
        return _array(schema, indent)
    if kind == "string":
        return _string(schema)
    if kind in {"number", "integer"}:
        bounds = " and ".join(f"{sign} {schema[key]}" for key, sign in _BOUNDS if key in schema)
        step = f" multiple of {schema['multipleOf']}" if "multipleOf" in schema else ""
        return f"{kind}{step}{' ' + bounds if bounds else ''}"
    return {"boolean": "true | false", "null": "null"}[kind]


def _object(schema: dict[str, Any], indent: str) -> str:
    inner = indent + "  "
    required = set(schema.get("required", ()))
    entries: list[tuple[str, Any]] = [
        (json.dumps(name, ensure_ascii=False) + ("" if name in required else "?"), child)
        for name, child in schema.get("properties", {}).items()
        if child is not False
    ]
    entries += [(f"<key like {_pattern(key)}>", child) for key, child in schema.get("patternProperties", {}).items()]
    others = schema.get("additionalProperties", True)
    if others is not False:
        entries.append(("<any key>", others))
    if not entries:
        return "{}"
    lines = ["{"]
    for index, (key, child) in enumerate(entries):
        text = _node(child, inner)
        comma = "," if index < len(entries) - 1 else ""
        first, newline, rest = text.partition("\n")
        note = _comment(child) + ("" if newline else _item_comment(child))
        lines.append(f"{inner}{key}: {first}{note}\n{rest}{comma}" if newline else f"{inner}{key}: {text}{comma}{note}")
    return "\n".join([*lines, indent + "}"])


def _array(schema: dict[str, Any], indent: str) -> str:
    parts = [_node(child, indent, comment=False) for child in schema.get("prefixItems", ())]
    items = schema.get("items", {})
    if items is not False:
        text = _node(items, indent)
        first, newline, rest = text.partition("\n")
        parts.append(f"{first}{_comment(items)}\n{rest}" if newline else text)
        parts.append("...")
    least, most = schema.get("minItems"), schema.get("maxItems")
    count = ""
    if items is not False and (least or most is not None):
        count = f" {least or 0} items or more" if most is None else f" {least or 0} to {most} items"
    return f"[{', '.join(parts)}]{count}"


def _string(schema: dict[str, Any]) -> str:
    if "format" in schema:
        return _FORMATS.get(schema["format"], str(schema["format"]))
    limit = schema.get("maxLength", SHORT_STRING_CHARS + 1)
    text = f"string of at most {limit} characters" if limit <= SHORT_STRING_CHARS else "string"
    return f"{text} like {_pattern(schema['pattern'])}" if "pattern" in schema else text


def _pattern(pattern: str) -> str:
    return f"/{_line(pattern, MAX_PATTERN_CHARS)}/"


def _values(values: list[Any]) -> str:
    known = [value for value in values if value is not None]
    shown = [_line(json.dumps(value, ensure_ascii=False), MAX_COMMENT_CHARS) for value in known[:MAX_VALUES]]
    if len(known) > MAX_VALUES:
        shown.append(f"... ({len(known)} values)")
    text = " | ".join(shown)
    return text if len(known) == len(values) else f"{text} or null" if known else "null"


def _comment(schema: Any) -> str:
    text = schema.get("description") if isinstance(schema, dict) else None
    return f" // {_line(text, MAX_COMMENT_CHARS)}" if isinstance(text, str) and text.strip() else ""


def _item_comment(schema: Any) -> str:
    """That of an array's items, which has no line of its own where the array is written on one."""
    items = schema.get("items") if isinstance(schema, dict) else None
    return _comment(items) if isinstance(items, dict) else ""


def _line(text: str, limit: int) -> str:
    """Text on one line, without control characters, cut to ``limit`` characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
