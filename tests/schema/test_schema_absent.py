from __future__ import annotations

from typing import Any

import pytest

from local_retab.errors import OutputValidationError
from local_retab.schema import plan_schema
from local_retab.schema.absent import allow_absent
from local_retab.settings import Settings

LINE = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "Who", "X-ReasoningPrompt": "Think."},
        "kind": {"enum": ["a", "b"]},
        "level": {"$ref": "#/$defs/Level", "description": "How high"},
        "seller": {"$ref": "#/$defs/Party"},
        "lines": {
            "type": "array",
            "items": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
        },
        "tags": {"type": "array", "items": {"type": "string"}},
        "free": {},
    },
    "required": ["name", "kind", "level", "seller", "lines", "tags"],
    "$defs": {
        "Level": {"enum": [1, 2]},
        "Party": {"type": "object", "properties": {"vat": {"type": "string"}}, "required": ["vat"]},
    },
}
EMPTY = {"name": None, "kind": None, "level": None, "seller": {"vat": None}, "lines": [{"x": None}], "tags": []}


def test_scalar_properties_may_be_null_and_nothing_else() -> None:
    plan = plan_schema(SCHEMA, settings=Settings(), absent_null=True)
    plan.validate(EMPTY)
    for change in ({"seller": None}, {"lines": None}, {"tags": [None]}, {"lines": [None]}, {"kind": "c"}):
        with pytest.raises(OutputValidationError):
            plan.validate({**EMPTY, **change})
    assert plan.original == SCHEMA
    assert '"kind": "a" | "b" or null' in plan.template
    assert "_name" in plan.template
    assert "// How high" in plan.template


def test_without_the_wish_the_schema_is_held() -> None:
    plan = plan_schema(SCHEMA, settings=Settings())
    assert plan.held == SCHEMA
    with pytest.raises(OutputValidationError):
        plan.validate(EMPTY)


def test_the_callers_schema_is_not_changed() -> None:
    before = repr(SCHEMA)
    allow_absent(SCHEMA)
    assert repr(SCHEMA) == before
