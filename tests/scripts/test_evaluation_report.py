"""Reports, their pictures and the table of variants, of documents that are made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from evaluation_ablation import Ablation
from evaluation_report import MAX_BARS, Report
from evaluation_run import Result
from evaluation_sets import Item
from evaluation_svg import Bars, Reliability, Share
from panels_svg import draw
from reliability import Leaf

SVG = "{http://www.w3.org/2000/svg}"
GOLD = {"number": "INV-1", "due": None, "total": 5}


def result(
    output: dict[str, Any], likelihoods: dict[str, float], gold: dict[str, Any] = GOLD, group: str = ""
) -> Result:
    item = Item("one", Path("one.pdf"), {"type": "object"}, gold, {"": lambda wanted, value: wanted == value}, group)
    scores = item.scores(output)
    return Result(item, output, "", True, 1.5, 100, 20, scores, likelihoods, {})


def texts(picture: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def two_documents() -> Report:
    right = result({"number": "INV-1", "due": None, "total": 5}, {"number": 0.95, "due": 0.85, "total": 0.95})
    wrong = result({"number": "INV-1", "due": "soon", "total": None}, {"number": 0.95, "due": 0.25, "total": 0.15})
    return Report("set n=1 default", "tiny", [right, wrong])


def test_shares_are_of_all_and_of_each_field_with_what_null_would_get() -> None:
    assert two_documents().shares() == [
        Share("all", 4, 6, 2),
        Share("number", 2, 2, 0),
        Share("due", 1, 2, 2),
        Share("total", 1, 2, 0),
    ]


def test_shares_of_many_fields_or_nested_ones_are_of_groups() -> None:
    gold = {f"field {number}": number for number in range(MAX_BARS + 1)}
    many = Report("many", "tiny", [result(gold, {}, gold, "set/a"), result({}, {}, gold, "set/b")])
    count = MAX_BARS + 1
    assert many.shares() == [
        Share("all", count, 2 * count, 0),
        Share("set/a", count, count, 0),
        Share("set/b", 0, count, 0),
    ]
    nested = Report("nested", "tiny", [result({"a": {"b": 1}}, {}, {"a": {"b": 1, "c": None}}, "extractbench")])
    assert nested.shares() == [Share("all", 2, 2, 1), Share("extractbench", 2, 2, 1)]


def test_likelihoods_are_those_of_scored_values() -> None:
    assert two_documents().leaves() == [
        Leaf(0.95, True),
        Leaf(0.85, True),
        Leaf(0.95, True),
        Leaf(0.95, True),
        Leaf(0.25, False),
        Leaf(0.15, False),
    ]


def test_a_report_is_saved_with_its_picture(tmp_path: Path) -> None:
    two_documents().save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"set-n=1-default.{kind}" for kind in ("json", "md", "svg")
    ]
    found = texts((tmp_path / "set-n=1-default.svg").read_text())
    assert found[:2] == ["set n=1 default", "share right; red: null for everything"]
    assert {"all", "4 of 6", "due", "1 of 2", "Likelihoods: 6 values, ECE 0.117"} <= set(found)


def test_bars_are_as_long_as_their_share_and_the_floor_is_marked_on_them() -> None:
    picture = ElementTree.fromstring(draw([Bars("a < b", [Share("half", 1, 2, 0), Share("n" * 40, 4, 4, 3)])]))
    _, half, whole = picture.iter(f"{SVG}rect")
    assert 2 * float(half.attrib["width"]) == float(whole.attrib["width"])
    none, three = picture.iter(f"{SVG}line")
    left, width = float(half.attrib["x"]), float(whole.attrib["width"])
    assert float(none.attrib["x1"]) == left
    assert float(three.attrib["x1"]) == left + 0.75 * width
    assert float(whole.attrib["y"]) + float(whole.attrib["height"]) < float(picture.attrib["height"])


def test_the_reliability_diagram_has_a_point_for_each_bin_at_its_mean_and_share() -> None:
    found = [Leaf(0.95, True)] * 3 + [Leaf(0.95, False)] + [Leaf(0.15, False)] * 4
    picture = ElementTree.fromstring(draw([Reliability("Likelihoods", found)]))
    low, high = picture.iter(f"{SVG}circle")
    diagonal = next(picture.iter(f"{SVG}line")).attrib
    left, right, bottom, top = (float(diagonal[name]) for name in ("x1", "x2", "y1", "y2"))
    places = [
        ((float(c.attrib["cx"]) - left) / (right - left), (bottom - float(c.attrib["cy"])) / (bottom - top))
        for c in (low, high)
    ]
    assert [(round(x, 2), round(y, 2)) for x, y in places] == [(0.15, 0.0), (0.95, 0.75)]
    assert "Likelihoods: 8 values, ECE 0.175" in [text.text for text in picture.iter(f"{SVG}text")]


def test_panels_stand_two_in_a_row_and_rows_are_as_high_as_their_highest() -> None:
    low, high = Bars("low", [Share("a", 1, 1, 0)]), Bars("high", [Share("a", 1, 1, 0)] * 9)
    picture = ElementTree.fromstring(draw([low, high, low]))
    places = [group.attrib["transform"] for group in picture.findall(f"{SVG}g")]
    assert places == ["translate(0,0)", "translate(460,0)", f"translate(0,{high.height})"]
    assert picture.attrib["height"] == str(high.height + low.height)


def test_the_table_has_a_row_for_each_variant(tmp_path: Path) -> None:
    worse = Report("set n=1 untyped", "tiny", [result({}, {})])
    ablation = Ablation("set n=1", "tiny", {"default": two_documents(), "untyped": worse})
    assert ablation.markdown() == [
        "| variant | change | right | of | number | due | total | prompt tokens | output tokens |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| default | the product as it is | 4 | 6 | 2 | 1 | 1 | 200 | 40 |",
        "| untyped | placeholders that do not say what they hold | 1 | 3 | 0 | 1 | 0 | 100 | 20 |",
    ]
    ablation.save(tmp_path)
    saved = json.loads((tmp_path / "set-n=1-ablation.json").read_text())
    assert [(row["variant"], row["right"], row["by"]) for row in saved["rows"]] == [
        ("default", 4, {"number": 2, "due": 1, "total": 1}),
        ("untyped", 1, {"number": 0, "due": 1, "total": 0}),
    ]
    assert ablation.markdown() == (tmp_path / "set-n=1-ablation.md").read_text().splitlines()[4:]
    assert {"default", "untyped", "1 of 3"} <= set(texts((tmp_path / "set-n=1-ablation.svg").read_text()))
