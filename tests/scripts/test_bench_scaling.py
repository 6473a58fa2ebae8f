"""What makes curves of marks, and a picture of curves; and the model that is none, which must say what it is told."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from bench_scaling import Mark, follow, per_item, rows_schema, scripted_client
from curves_svg import Curve
from panels_svg import draw
from statements import SCHEMA, make_statement

SVG = "{http://www.w3.org/2000/svg}"


def test_each_window_is_from_the_first_snapshot_that_has_its_items() -> None:
    marks = [Mark(10.0, 0), Mark(11.0, 1), Mark(14.0, 4), Mark(15.0, 5), Mark(23.0, 8), Mark(99.0, 8)]
    assert per_item(marks, 8, 2) == [(2.0, 1.0), (6.0, 9 / 4)]
    # No snapshot shows three items, and two windows begin with the one of four.
    assert per_item(marks, 8, 4) == [(2.0, 1.0), (6.0, 9 / 4)]


def test_a_schema_of_so_many_rows_of_some_fields() -> None:
    value = {"transactions": [{"reference": "TX1", "amount": 1.5}] * 3}
    schema = rows_schema(3, "reference", "amount")
    jsonschema.validate(value, schema)
    for wrong in ({"transactions": value["transactions"][:2]}, {"transactions": [{"reference": "TX1"}] * 3}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_a_picture_has_a_panel_for_each_curve_and_each_point_with_its_value() -> None:
    curves = [Curve("a < b", "x", "y", [(1, 2.0), (10, 0.0)]), Curve("flat", "x", "y", [(1, 0.0)])]
    picture = ElementTree.fromstring(draw(curves))
    panels = picture.findall(f"{SVG}g")
    assert [panel.find(f"{SVG}text").text for panel in panels] == ["a < b", "flat"]  # type: ignore[union-attr]
    assert [len(panel.findall(f"{SVG}circle")) for panel in panels] == [2, 1]
    assert {"2", "0", "1", "10"} <= {text.text for text in panels[0].findall(f"{SVG}text")}
    first, second = panels[0].findall(f"{SVG}circle")
    assert float(first.attrib["cy"]) < float(second.attrib["cy"])
    assert float(first.attrib["cx"]) < float(second.attrib["cx"])


@pytest.mark.smol
def test_the_scripted_model_says_what_it_is_told_through_the_whole_product(smol: Path) -> None:
    statement = make_statement(5, 1)
    with scripted_client(smol, json.dumps(statement.value, separators=(",", ":"))) as (client, model):
        for _ in range(2):  # the second time over the KV of the first
            marks, result = follow(client, statement.pdf, SCHEMA, model)
            assert result.output == statement.value
            assert marks[-1].items == 5
