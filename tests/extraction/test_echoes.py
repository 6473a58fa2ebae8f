"""Texts of the instructions, and names for anybody, where the document states nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripted_service import ScriptedService

from local_retab.documents import load
from local_retab.extraction.echoes import Echoes, descriptions
from local_retab.extraction.partial import MISSING, extends
from local_retab.wire import Extraction, ExtractionParameters

TOLD = "How a drawdown is requested (e.g. '3 business days prior via written notice to Administrative Agent')."
DOCUMENT = "The agent is Jane Smith. Ask by written notice\nto the Administrative Agent of the lender."
ECHOES = Echoes([TOLD, "Name of the buyer."], [row.split() for row in DOCUMENT.split("\n")])


@pytest.mark.parametrize(
    ("text", "echo"),
    [
        ("3 business days prior via written notice to Administrative Agent", True),
        ("How a drawdown is requested", True),
        ("3 Business days, prior", True),
        ("3 business days", False),
        ("business days prior via a letter", False),
        ("written notice to the Administrative Agent", False),
        ("is requested eg 3 business", False),
        ("notice to Administrative Agent Name", False),
        ("John Doe", True),
        ("Dr. Smith", True),
        ("John Doe was injured", True),
        ("John Doering", False),
        ("Jane Smith", False),
        ("Company XYZ", True),
        ("John", False),
        ("", False),
    ],
)
def test_an_echo_is_told_and_not_printed(text: str, echo: bool) -> None:
    assert ECHOES.is_echo(text) is echo
    if echo:
        assert all(ECHOES.may_begin(text[:end]) for end in range(len(text) + 1))


def test_descriptions_at_all_depths() -> None:
    inner = {"type": "string", "description": "b"}
    schema = {
        "description": "a",
        "properties": {"description": inner, "n": {"items": {"anyOf": [{"description": "c"}, {"type": "null"}]}}},
        "$defs": {"D": {"description": "d"}},
    }
    assert sorted(descriptions(schema)) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("3 business days prior via written notice to Administrative Agent", None),
        ("3 business days prior by fax", "3 business days prior by fax"),
        ("John Doe", None),
        ("Jane Smith", "Jane Smith"),
    ],
)
def test_an_echo_is_null_where_null_may_stand_and_is_not_shown_before(
    tmp_path: Path, written: str, value: str | None
) -> None:
    nullable = {"type": ["string", "null"], "description": TOLD}
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"request": nullable, "must": {"type": "string", "description": TOLD}},
        "required": ["request", "must"],
    }
    service = ScriptedService(tmp_path, json.dumps({"request": written, "must": written}))
    page = load(DOCUMENT.encode(), filename="note.txt", settings=service.settings)
    shown: Any = MISSING
    for chunk in service.stream(page, ExtractionParameters(json_schema=schema)):
        assert extends(chunk.output, shown)
        shown = chunk.output
    assert isinstance(chunk, Extraction)
    assert chunk.output == {"request": value, "must": written}
    assert [(notice.code, notice.path) for notice in chunk.notices] == [("NOT_STATED", "/request")] * (value is None)
