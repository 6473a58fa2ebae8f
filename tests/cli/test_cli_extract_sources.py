"""``local-retab extract`` with evidence: sources, annotated pages, votes, and null for what is absent."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas
from scripted_cli import ANSWER, SCHEMA, VALUE, Inputs, Result, scripted_service

Run = Callable[..., Result]


@pytest.fixture
def pdf(inputs: Inputs) -> list[str]:
    """Arguments for a PDF of two pages that says what the engine answers."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(300, 200), invariant=1)
    canvas.drawString(20, 150, "Invoice INV-1é")
    canvas.showPage()
    canvas.drawString(20, 100, "Total 12.50")
    canvas.save()
    document = inputs.folder / "invoice.pdf"
    document.write_bytes(out.getvalue())
    return ["extract", str(document), "--schema", str(inputs.schema), "--model", str(inputs.model)]


def test_sources_are_printed_with_their_values(run: Run, pdf: list[str]) -> None:
    result = run(*pdf, "--sources")
    tree = json.loads(result.out)
    assert (result.code, result.err) == (0, "")
    assert tree["total"]["value"] == 12.5
    assert tree["total"]["source"]["content"] == "12.50"
    assert tree["total"]["source"]["anchor"]["page"] == 2
    assert tree["lines"][1]["code"] == {"value": "B", "source": None}


def test_the_whole_extraction_has_them_too(run: Run, pdf: list[str]) -> None:
    whole = json.loads(run(*pdf, "--json").out)
    assert whole["sources"]["sources"]["total"]["source"]["content"] == "12.50"
    assert set(whole["likelihoods"]) == {"number", "total", "lines"}


def test_sources_and_json_exclude_each_other(run: Run, pdf: list[str]) -> None:
    result = run(*pdf, "--sources", "--json")
    assert (result.code, result.out) == (2, "")
    assert "--sources" in result.err


@pytest.mark.parametrize("name", ["out.png", "out.pdf"])
def test_pages_are_annotated(run: Run, pdf: list[str], inputs: Inputs, name: str) -> None:
    path = inputs.folder / name
    assert run(*pdf, "--annotate", path, "--dpi", "96").code == 0
    if name.endswith(".pdf"):
        assert path.read_bytes().startswith(b"%PDF")
        return
    image = Image.open(path).convert("RGB")
    assert image.size == (400, 2 * 267)
    # There is colour where the values stand, on both pages, and nowhere near the lower edge of the first.
    _, saturation, _ = image.convert("HSV").split()
    colour = saturation.getbbox()
    assert colour is not None
    assert colour[1] < 100
    assert colour[3] > 267 + 100
    assert saturation.crop((0, 200, 400, 267)).getextrema() == (0, 0)


def test_an_annotation_that_cannot_be_made_is_refused_before_anything_runs(
    run: Run, pdf: list[str], inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(*inputs.arguments, "--annotate", inputs.folder / "out.png")
    assert result.code == 2
    assert "is text" in result.err
    monkeypatch.setattr("local_retab.cli.extract.open_service", lambda settings: pytest.fail("opened"))
    result = run(*pdf, "--annotate", inputs.folder / "out.gif")
    assert result.code == 2
    assert ".png or .pdf" in result.err


def test_votes_are_reconciled(run: Run, inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    def sharpen(backend: Any) -> None:
        plain = backend.logits
        backend.logits = lambda row: plain(row) * 100

    monkeypatch.setattr("local_retab.cli.extract.open_service", scripted_service(ANSWER, sharpen))
    whole = json.loads(run(*inputs.arguments, "--json", "--n-consensus", "3").out)
    assert whole["consensus"]["choices"] == [VALUE] * 3
    assert whole["consensus"]["likelihoods"]["total"] == 1.0
    assert run(*inputs.arguments, "--n-consensus", "17").code == 2


def test_null_for_what_is_absent(run: Run, inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {**VALUE, "number": None}
    monkeypatch.setattr("local_retab.cli.extract.open_service", scripted_service(json.dumps(answer)))
    whole = json.loads(run(*inputs.arguments, "--json", "--absent-null").out)
    assert whole["output"] == answer
    assert whole["absent"] == ["/number"]
    assert whole["json_schema"] == SCHEMA
    assert json.loads(run(*inputs.arguments).out)["number"] is not None
