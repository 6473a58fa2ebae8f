"""Arrays that go round in circles, and numbers without an end: from the engine up, on a scripted one."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from scripted_service import ScriptedService

from local_retab.documents import load
from local_retab.engine.repetition import MAX_DIGITS, MAX_PERIOD, ROUNDS, ROUNDS_OF_LITERALS, _strings_of_items
from local_retab.extraction.partial import extends
from local_retab.wire import Extraction, ExtractionChunk, ExtractionParameters

TEXT = {"type": "string"}
TEXT_OR_NULL = {"type": ["string", "null"]}
SKILL = {"type": "object", "properties": {"name": TEXT, "level": {"type": "integer"}}, "required": ["name", "level"]}


def schema_of(items: dict[str, Any]) -> dict[str, Any]:
    lines = {"type": "array", "items": items}
    return {
        "type": "object",
        "properties": {"lines": lines, "total": {"type": "number"}},
        "required": ["lines", "total"],
    }


def run(
    folder: Path,
    items: list[Any],
    document: str = "Skills",
    schema: dict[str, Any] = TEXT,
    *,
    goes_on: bool = False,
    **fields: Any,
) -> list[ExtractionChunk]:
    """Of a model that writes ``items``, and where it ``goes_on`` the comma of another one, then a total."""
    written = json.dumps(items, separators=(",", ":"), ensure_ascii=False)[:-1]
    service = ScriptedService(folder, f'{{"lines":{written}{"," if goes_on else "]"},"total":7}}')
    page = load(document.encode(), filename="note.txt", settings=service.settings)
    return list(service.stream(page, ExtractionParameters(json_schema=schema_of(schema), **fields)))


def ended(chunks: list[ExtractionChunk]) -> tuple[Any, list[tuple[str, str]]]:
    """The value and the notices of a run whose chunks take nothing back."""
    assert all(extends(new.output, old.output) for old, new in pairwise(chunks))
    extraction = chunks[-1]
    assert isinstance(extraction, Extraction)
    return extraction.output, [(notice.code, notice.path) for notice in extraction.notices]


@pytest.mark.parametrize(
    ("first", "circle", "schema"),
    [
        (["Go"], ["C"], TEXT),
        (["Go"], ["C", "Go"], TEXT),
        (["Go"], ['a "b", c', "", "é", "Go"], TEXT),
        (["Go"], [""], TEXT),
        (["Go"], [None, "Go"], TEXT_OR_NULL),
        (["n/a"], ["n/a"], TEXT_OR_NULL),
    ],
)
def test_a_circle_of_texts_ends_and_is_dropped(tmp_path: Path, first: Any, circle: Any, schema: Any) -> None:
    value, notices = ended(run(tmp_path, first + circle * ROUNDS, schema=schema, goes_on=True))
    known = [None if item == "n/a" else item for item in dict.fromkeys(first + circle)]
    assert value == {"lines": known, "total": 7}
    assert notices == [("ITEMS_REPEATED", "/lines"), *[("NOT_STATED", "/lines/0")] * (None in known[:1])]


def test_a_circle_of_objects_ends(tmp_path: Path) -> None:
    items = [{"name": "Go", "level": 1}] * (ROUNDS + 1)
    value, notices = ended(run(tmp_path, items, schema=SKILL, goes_on=True))
    assert value == {"lines": items, "total": 7}
    assert notices == [("ITEMS_REPEATED", "/lines")]


def test_a_text_may_stand_in_a_list_as_often_as_in_the_document(tmp_path: Path) -> None:
    document = "pen 1.00\n" * 12
    assert ended(run(tmp_path, ["pen"] * 12, document)) == ({"lines": ["pen"] * 12, "total": 7}, [])
    value, notices = ended(run(tmp_path, ["pen"] * 14, document, goes_on=True))
    assert value == {"lines": ["pen"], "total": 7}
    assert notices == [("ITEMS_REPEATED", "/lines")]


def test_zeros_are_no_circle_until_they_never_end(tmp_path: Path) -> None:
    number = {"type": "integer"}
    few, many = [0] * ROUNDS_OF_LITERALS, [0] * (ROUNDS_OF_LITERALS + 1)
    assert ended(run(tmp_path, few, schema=number)) == ({"lines": few, "total": 7}, [])
    value, notices = ended(run(tmp_path, many, schema=number, goes_on=True))
    assert value == {"lines": many, "total": 7}
    assert notices == [("ITEMS_REPEATED", "/lines")]


def test_what_repeats_within_a_text_is_no_circle(tmp_path: Path) -> None:
    text = "one," + '"a","a",' * 20
    assert ended(run(tmp_path, [text])) == ({"lines": [text], "total": 7}, [])


def test_an_array_that_must_go_on_goes_on(tmp_path: Path) -> None:
    schema = schema_of(TEXT)
    schema["properties"]["lines"]["minItems"] = 20
    written = ",".join(['"C"'] * 20)
    service = ScriptedService(tmp_path, f'{{"lines":[{written}],"total":7}}')
    page = load(b"Skills", filename="note.txt", settings=service.settings)
    value, notices = ended(list(service.stream(page, ExtractionParameters(json_schema=schema))))
    assert value == {"lines": ["C"] * 20, "total": 7}
    assert notices == []


def test_texts_that_come_again_are_shown_with_what_comes_after_them(tmp_path: Path) -> None:
    items = ["Go", "C", "Go", "C", "Rust", "Go"]
    chunks = run(tmp_path, items)
    assert ended(chunks) == ({"lines": items, "total": 7}, [])
    shown = [chunk.output["lines"] for chunk in chunks if isinstance(chunk.output, dict) and "lines" in chunk.output]
    assert items[:3] not in shown
    assert items[:5] in shown


def test_texts_that_come_again_are_written_where_the_budget_ends(tmp_path: Path) -> None:
    service = ScriptedService(tmp_path, '{"lines":["Go","C","Go","C"', max_output_tokens=27)
    page = load(b"Skills", filename="note.txt", settings=service.settings)
    *_, extraction = service.stream(page, ExtractionParameters(json_schema=schema_of(TEXT)))
    assert isinstance(extraction, Extraction)
    assert extraction.output == {"lines": ["Go", "C", "Go", "C"], "total": 0}
    assert extraction.synthesised == ["/total"]


def test_votes_end_their_circles_too(tmp_path: Path) -> None:
    chunks = run(tmp_path, ["Go", *["C"] * ROUNDS], goes_on=True, n_consensus=2)
    value, _ = ended(chunks)
    assert value == {"lines": ["Go", "C"], "total": 7}
    assert isinstance(chunks[-1], Extraction)
    assert chunks[-1].consensus.choices == [value, value]


@pytest.mark.parametrize("begin", ["", "-", "0.", "12.5e-"])
def test_a_number_without_an_end_ends(tmp_path: Path, begin: str) -> None:
    written = begin + "3" * MAX_DIGITS
    after = ',"lines":[]}'
    schema = {"type": "object", "properties": {"total": {"type": "number"}, "lines": {"type": "array", "items": TEXT}}}
    service = ScriptedService(tmp_path, f'{{"total":{written}3{after[1:]}')
    page = load(b"Skills", filename="note.txt", settings=service.settings)
    *_, extraction = service.stream(page, ExtractionParameters(json_schema={**schema, "required": ["total", "lines"]}))
    assert isinstance(extraction, Extraction)
    assert extraction.output == {"total": json.loads(written), "lines": []}


def test_digits_of_a_text_are_none_of_a_number(tmp_path: Path) -> None:
    code = 'no "' + "3" * (3 * MAX_DIGITS)
    assert ended(run(tmp_path, [code])) == ({"lines": [code], "total": 7}, [])


@pytest.mark.parametrize(
    ("data", "strings"),
    [
        (b',"a",{"b":["c",1,null]}', ["a", "c"]),
        (b",0", []),
        (b',"a"}', None),
        (b'"a",', None),
        (b",a", None),
        (b"", None),
        (b',"' + b"a" * MAX_PERIOD + b'"', None),
        (b"," + b"[" * 1000 + b"]" * 1000, None),
    ],
)
def test_whole_items_have_their_strings(data: bytes, strings: list[str] | None) -> None:
    assert _strings_of_items(data) == strings
