"""Quotes are lines of the document, whatever the model would rather write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted_service import ScriptedService

from local_retab.documents import load
from local_retab.extraction.anchoring import carry_over
from local_retab.wire import Extraction, ExtractionParameters, ExtractionSources

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "total": {"type": "number"},
        "seller": {"type": ["string", "null"]},
        "lines": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
        },
    },
    "required": ["total", "seller", "lines"],
}
TEXT = "Acme Tools  Ltd\n12 High Street\nHammer  20.00\nTotal 20.00\nTotal 20.00 paid"
LINES = [" ".join(line.split()) for line in TEXT.split("\n")]


def answer(total: list[str], seller: list[str], name: list[str]) -> str:
    return json.dumps(
        {
            "source___total": total,
            "total": 20.0,
            "source___seller": seller,
            "seller": "Acme Tools Ltd",
            "lines": [{"source___name": name, "name": "Hammer"}],
        }
    )


def run(tmp_path: Path, script: str, **fields: Any) -> Extraction:
    service = ScriptedService(tmp_path, script)
    document = load(TEXT.encode(), filename="a.txt", settings=service.settings)
    parameters = ExtractionParameters(json_schema=SCHEMA, sources={"mode": "cited"}, **fields)  # type: ignore[arg-type]
    *_, last = service.stream(document, parameters)
    service.close()
    assert isinstance(last, Extraction)
    return last


def test_the_value_is_found_in_what_is_quoted(tmp_path: Path) -> None:
    result = run(tmp_path, answer(["Total 20.00"], [LINES[0]], ["Hammer 20.00"]))
    assert result.output == {"total": 20.0, "seller": "Acme Tools Ltd", "lines": [{"name": "Hammer"}]}
    assert result.sources is not None
    assert result.sources.mode == "cited"
    tree: Any = result.sources.sources
    assert tree["total"]["source"]["content"] == "20.00"
    # Not the first 20.00 of the document, but that of the quoted line.
    assert tree["total"]["source"]["anchor"]["line_start"] == 4
    assert tree["seller"]["source"]["content"] == "Acme Tools Ltd"
    assert tree["lines"][0]["name"]["source"]["anchor"]["line_start"] == 3
    assert {entry["status"] for entry in result.sources.evidence.values()} == {"matched"}


def test_a_quote_without_the_value_supports_it_and_no_quote_is_no_source(tmp_path: Path) -> None:
    result = run(tmp_path, answer([], [LINES[1]], ["Hammer 20.00"]))
    assert result.sources is not None
    evidence = result.sources.evidence
    assert evidence["total"] == {"kind": "unavailable", "status": "missing", "sources": None}
    assert (evidence["seller"]["kind"], evidence["seller"]["status"]) == ("supporting", "partial")
    assert evidence["seller"]["sources"][0]["content"] == LINES[1]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text("Total 20.0HamerX", max_size=14), max_size=3))
def test_a_quotation_cannot_be_invented(tmp_path: Path, quotes: list[str]) -> None:
    result = run(tmp_path, answer(quotes, quotes, quotes))
    assert result.sources is not None
    for entry in result.sources.evidence.values():
        for source in entry["sources"] or ():
            assert set(source["content"].split()) <= set(TEXT.split())


def test_quotes_are_in_no_chunk(tmp_path: Path) -> None:
    service = ScriptedService(tmp_path, answer(["Total 20.00"], [LINES[0]], [LINES[2]]))
    document = load(TEXT.encode(), filename="a.txt", settings=service.settings)
    parameters = ExtractionParameters(json_schema=SCHEMA, sources={"mode": "cited"})  # type: ignore[arg-type]
    for chunk in service.stream(document, parameters):
        assert "source___" not in json.dumps(chunk.output)
    service.close()


def test_with_votes_only_the_first_answers_quotes_count(tmp_path: Path) -> None:
    def sharpen(backend: Any) -> None:
        plain = backend.logits
        backend.logits = lambda row: plain(row) * 100

    service = ScriptedService(tmp_path, answer(["Total 20.00"], [LINES[0]], []), prepare=sharpen)
    document = load(TEXT.encode(), filename="a.txt", settings=service.settings)
    parameters = ExtractionParameters(json_schema=SCHEMA, sources={"mode": "cited"}, n_consensus=3)  # type: ignore[arg-type]
    *_, last = service.stream(document, parameters)
    service.close()
    assert isinstance(last, Extraction)
    assert last.sources is not None
    assert last.sources.evidence["total"]["status"] == "matched"


@pytest.mark.parametrize("mode", ["located", "cited"])
def test_both_modes_answer_the_same(tmp_path: Path, mode: str) -> None:
    script = json.dumps({"total": 20.0, "seller": "Acme Tools Ltd", "lines": []})
    script = (
        script if mode == "located" else answer([], [], []).replace('[{"source___name": [], "name": "Hammer"}]', "[]")
    )
    service = ScriptedService(tmp_path, script)
    document = load(TEXT.encode(), filename="a.txt", settings=service.settings)
    parameters = ExtractionParameters(json_schema=SCHEMA, sources={"mode": mode})  # type: ignore[arg-type]
    *_, last = service.stream(document, parameters)
    service.close()
    assert last.output == {"total": 20.0, "seller": "Acme Tools Ltd", "lines": []}


def leaf(value: Any, source: Any = None) -> dict[str, Any]:
    return {"value": value, "source": source}


FOUND: dict[str, Any] = {"content": "x"}
MISSING_EVIDENCE = {"kind": "unavailable", "status": "missing", "sources": None}


@pytest.mark.parametrize(
    ("output", "other", "carried"),
    [
        (1, leaf(1, FOUND), [""]),
        (1, leaf(True, FOUND), []),
        (1, leaf("1", FOUND), []),
        (None, leaf(None), [""]),
        ({"a": 1, "b": 2}, {"a": leaf(1, FOUND), "b": leaf(3, FOUND)}, ["a"]),
        ({"a": 1, "b": 2}, {"b": leaf(2, FOUND)}, ["b"]),
        ([1, 2, 3], [leaf(1, FOUND), leaf(9, FOUND)], ["0"]),
        ([1], [leaf(1, FOUND), leaf(2, FOUND)], ["0"]),
        ([{"a": 1}], leaf([], FOUND), []),
        ({"a": 1}, [leaf(1)], []),
        ([], leaf([]), [""]),
        # The names of a leaf's parts are names of properties too.
        ({"value": 1, "source": 2}, {"value": leaf(1, FOUND), "source": leaf(2)}, ["value", "source"]),
        ({"value": 1, "source": 2}, leaf(1, FOUND), []),
        (1, {"value": leaf(1), "source": leaf(2)}, []),
    ],
)
def test_sources_of_another_run_count_where_it_gave_the_same(output: Any, other: Any, carried: list[str]) -> None:
    matched = {"kind": "direct", "status": "matched", "sources": []}
    names = ["", "a", "b", "0", "1", "value", "source"]
    found = ExtractionSources(mode="cited", document_type="txt", sources=other, evidence=dict.fromkeys(names, matched))
    tree, evidence = carry_over(found, output, "missing")
    assert [path for path, entry in evidence.items() if entry == matched] == carried
    assert all(entry in (matched, MISSING_EVIDENCE) for entry in evidence.values())
    assert plain(tree, output) == output


def plain(tree: Any, output: Any) -> Any:
    """The values of a tree of sources that has the shape of ``output``."""
    if isinstance(output, dict) and output:
        return {key: plain(tree[key], item) for key, item in output.items()}
    if isinstance(output, list) and output:
        return [plain(item, value) for item, value in zip(tree, output, strict=True)]
    return tree["value"]
