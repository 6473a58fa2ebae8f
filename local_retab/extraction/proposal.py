"""A schema proposed by the model: it lists fields under a grammar, and rules turn the list into a JSON Schema.

What the model writes can only be a list of named, typed fields, so that the schema is valid whatever it writes.
"""

from __future__ import annotations

from typing import Any

NAME = {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,39}$", "description": "name in snake_case"}
DESCRIPTION = {"type": "string", "maxLength": 120, "description": "what the field holds"}
SCALARS = ("string", "number", "integer", "boolean", "date")
MAX_FIELDS = 30
MAX_COLUMNS = 12


def _field(kinds: tuple[str, ...], **more: Any) -> dict[str, Any]:
    properties = {"name": NAME, "type": {"enum": list(kinds)}, "description": DESCRIPTION, **more}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


PROPOSAL_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 60, "description": "what kind of document this is"},
        "fields": {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_FIELDS,
            "description": "the single values that the document states, such as numbers, dates, names and totals",
            "items": _field(SCALARS),
        },
        "tables": {
            "type": "array",
            "maxItems": 4,
            "description": "the lists that the document has, such as line items",
            "items": {
                "type": "object",
                "properties": {
                    "name": NAME,
                    "description": DESCRIPTION,
                    "columns": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": MAX_COLUMNS,
                        "items": _field(SCALARS),
                    },
                },
                "required": ["name", "description", "columns"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["title", "fields", "tables"],
    "additionalProperties": False,
}

INSTRUCTIONS = (
    "Do not copy the document's values. Propose a data model for documents of this kind: for every value that the "
    "document states, a field with a short snake_case name, its type, and what it holds. Repeated rows are a table "
    "with columns."
)


def to_json_schema(proposal: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a proposal. A name that comes twice counts once, and empty tables are left out."""
    properties: dict[str, Any] = {}
    for field in proposal["fields"]:
        properties.setdefault(field["name"], _property(field))
    for table in proposal["tables"]:
        columns: dict[str, Any] = {}
        for column in table["columns"]:
            columns.setdefault(column["name"], _property(column))
        properties.setdefault(
            table["name"], {"type": "array", "description": table["description"], "items": _object(columns)}
        )
    return {"title": proposal["title"], "X-SchemaType": "generic", **_object(properties)}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _property(field: dict[str, Any]) -> dict[str, Any]:
    kind = {"type": "string", "format": "date"} if field["type"] == "date" else {"type": field["type"]}
    return {**kind, "description": field["description"]}
