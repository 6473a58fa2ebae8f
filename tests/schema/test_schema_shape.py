"""What the caller sees of a value under the inference schema."""

from pathlib import Path
from typing import Any

import pytest

from local_retab.schema import OPEN, Shape, plan_schema, project
from local_retab.schema.shape import union
from local_retab.settings import Settings

LEAF = Shape()


def test_hidden_keys_and_absent_nulls_go_at_every_depth() -> None:
    line = Shape(properties={"note": LEAF}, hidden=frozenset({"_item"}), droppable=frozenset({"note"}))
    shape = Shape(properties={"lines": Shape(items=line), "kept": LEAF}, hidden=frozenset({"_root"}))
    value = {
        "_root": "why",
        "lines": [{"_item": "x", "note": None}, {"note": "n"}],
        "kept": None,
    }
    assert project(value, shape) == {"lines": [{}, {"note": "n"}], "kept": None}


def test_child_of_an_unknown_node_is_open() -> None:
    assert OPEN.child("a") is OPEN
    assert OPEN.child(3) is OPEN


def test_child_prefers_the_declared_property_and_the_prefix() -> None:
    other, first, rest = Shape(atomic=True), Shape(droppable=frozenset("a")), Shape(hidden=frozenset("b"))
    shape = Shape(properties={"a": first}, additional=other, prefix_items=(first,), items=rest)
    assert shape.child("a") is first
    assert shape.child("z") is other
    assert shape.child(0) is first
    assert shape.child(1) is rest


def test_references_recur() -> None:
    definitions: dict[str, Shape] = {}
    reference = Shape(reference="Node", definitions=definitions)
    definitions["Node"] = Shape(properties={"next": reference}, droppable=frozenset({"next"}))
    assert project({"next": {"next": None}}, reference.resolve()) == {"next": {}}
    assert reference.resolve().child("next") is definitions["Node"]


def test_a_union_drops_a_null_only_where_every_alternative_does() -> None:
    dropping = Shape(properties={"a": LEAF, "b": LEAF}, droppable=frozenset({"a", "b"}), hidden=frozenset({"h"}))
    keeping = Shape(properties={"a": Shape(atomic=True)}, items=dropping)
    both = union([dropping, keeping])
    assert both is not None
    joined = both.resolve()
    assert joined.droppable == {"b"}
    assert joined.hidden == {"h"}
    assert joined.child("a").atomic
    assert joined.child(0).droppable == {"a", "b"}
    assert union([None, OPEN]) is None
    assert union([keeping, keeping, None]) is keeping


@pytest.mark.parametrize(
    ("schema", "number"),
    [
        ({"type": ["integer", "string"]}, "integer"),
        ({"type": ["string", "number", "null"]}, "number"),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "integer"),
        ({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "integer"}]}, "number"),
        ({"oneOf": [{"type": "string", "maxLength": 5}, {"type": "integer"}, {"type": "null"}]}, "integer"),
        ({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string"}]}, ""),
        ({"type": ["integer", "string"], "maximum": 3}, ""),
        ({"type": "string"}, ""),
        ({}, ""),
    ],
)
def test_a_shape_knows_whether_any_number_may_stand_there(tmp_path: Path, schema: Any, number: str) -> None:
    plan = plan_schema({"type": "object", "properties": {"rank": schema}}, settings=Settings(home=tmp_path))
    assert plan.shape.child("rank").number == number
