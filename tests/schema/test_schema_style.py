"""Which schemas are written without blanks, and what those that are laid out let the model write."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer

from local_retab.schema import load_schema, plan_schema
from local_retab.schema.style import COMPACT, LAID_OUT, SEPARATORS, options
from local_retab.settings import Settings

BYTES = LLTokenizer("byte")
TEXT = {"type": "string"}


def record(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def several(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


ROWS = several(record(text=TEXT, tags=several(TEXT)))
NESTED = record(groups=several(record(name=TEXT, rows=ROWS)))
RECURRING = {"$ref": "#/$defs/Part", "$defs": {"Part": record(parts=several({"$ref": "#/$defs/Part"}))}}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (record(a=TEXT, b=record(c=TEXT)), COMPACT),
        (record(a=TEXT, rows=ROWS), COMPACT),
        (record(a=several(TEXT), b=several(several(TEXT)), rows=ROWS), COMPACT),
        (ROWS, COMPACT),
        (record(jobs=ROWS, schools=ROWS), LAID_OUT),
        (NESTED, LAID_OUT),
        (record(rows=several(record(who=record(name=TEXT)))), LAID_OUT),
        (record(rows=several(record(who={"anyOf": [record(name=TEXT), {"type": "null"}]}))), LAID_OUT),
        (record(rows={"anyOf": [ROWS, {"type": "null"}]}, more=ROWS), LAID_OUT),
        (RECURRING, LAID_OUT),
    ],
)
def test_what_is_nested_is_laid_out(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    settings = Settings()
    assert options(plan_schema(load_schema(schema, settings=settings), settings=settings).inference) == expected


VALUE = {"groups": [{"name": "A", "rows": [{"text": "x", "tags": ["y"]}, {"text": "z", "tags": []}]}]}


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        (json.dumps(VALUE, separators=SEPARATORS), True),
        (json.dumps(VALUE), True),
        (json.dumps(VALUE, indent=2), True),
        (json.dumps(VALUE, indent=8), True),
        (json.dumps(VALUE).replace(": ", ":  "), False),
        (json.dumps(VALUE, indent=2).replace("\n", "\n\n"), False),
        (json.dumps(VALUE, indent="\t"), False),
    ],
)
def test_blanks_come_one_by_one_or_as_one_line(text: str, accepted: bool) -> None:
    """A model that goes on with blanks and nothing else comes to an end."""
    settings = Settings()
    plan = plan_schema(load_schema(NESTED, settings=settings), settings=settings)
    matcher = LLMatcher(BYTES, plan.grammar, log_level=0)
    data = list(text.encode())
    assert (matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting()) is accepted
