"""One real document with the starter model, from the PDF to the Extraction."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from local_retab import Extraction, ExtractionChunk, Retab, Settings
from local_retab.extraction.partial import MISSING, extends

pytestmark = pytest.mark.starter

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
SCHEMA: dict[str, Any] = json.loads((SCRIPTS / "sample_invoice_schema.json").read_text())
# The plain fields of the header and the foot: reading the table well is for larger models.
HEADER = {
    name: SCHEMA["properties"][name] for name in ("invoice_number", "invoice_date", "due_date", "currency", "total")
}
EXPECTED = {
    "invoice_number": "HB-2025-0417",
    "invoice_date": "2025-05-12",
    "due_date": "2025-06-11",
    "currency": "EUR",
    "total": 5538.58,
}


@pytest.fixture(scope="module")
def client(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retab]:
    # A home of its own: what an earlier run left in the cache of results must not answer.
    home = tmp_path_factory.mktemp("home")
    settings = Settings.from_environment(home=home, model_small=str(starter), context_tokens=4096)
    with Retab(settings) as made:
        yield made


@pytest.fixture(scope="module")
def invoice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("invoice") / "invoice.pdf"
    runpy.run_path(str(SCRIPTS / "make_sample_invoice.py"))["make"](path)
    return path


def check(chunks: list[ExtractionChunk], schema: dict[str, Any]) -> Extraction:
    """The end of a stream whose chunks grow into a value under the schema."""
    shown: Any = MISSING
    assert len(chunks) > 5  # it is shown while it is written
    for chunk in chunks:
        assert extends(chunk.output, shown)
        shown = chunk.output
    extraction = chunks[-1]
    assert isinstance(extraction, Extraction)
    assert extraction.notices == []
    Draft202012Validator(schema).validate(extraction.output)
    return extraction


def test_the_sample_invoice(client: Retab, invoice: Path) -> None:
    extraction = check(list(client.extractions.create_stream(invoice, SCHEMA)), SCHEMA)
    assert isinstance(extraction.output, dict)
    assert {name: extraction.output[name] for name in EXPECTED} == EXPECTED
    assert len(extraction.output["line_items"]) == 5  # type: ignore[arg-type]
    assert extraction.usage is not None
    assert extraction.usage.forced_output_tokens > 0.15 * extraction.usage.output_tokens


def test_the_same_document_again_reuses_its_prefix(client: Retab, invoice: Path) -> None:
    schema = {"type": "object", "properties": HEADER, "required": list(HEADER), "additionalProperties": False}
    first, again = (
        check(list(client.extractions.create_stream(invoice, schema, bust_cache=True)), schema) for _ in range(2)
    )
    assert first.output == again.output == EXPECTED
    assert again.usage is not None
    assert again.usage.cached_prompt_tokens == again.usage.prompt_tokens - 1
