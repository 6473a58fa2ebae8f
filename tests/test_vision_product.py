"""Extraction from images through the client, on a vision model of random weights: everything but sense."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from PIL import Image, ImageDraw
from reportlab.pdfgen.canvas import Canvas
from tiny_vision_models import FAMILIES, make_pair

from local_retab import Extraction, Retab, Settings
from local_retab.errors import GenerationCancelledError, ModalityError, ModelLoadError, RequestError
from local_retab.service import ExtractionService
from local_retab.weights import Catalogue, Store

SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 6},
        "total": {"type": "integer", "minimum": 0, "maximum": 99},
        "kind": {"enum": ["invoice", "receipt"]},
    },
    "required": ["title", "total", "kind"],
    "additionalProperties": False,
}
OTHER = {"type": "object", "properties": {"paid": {"type": "boolean"}}, "required": ["paid"]}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("home")
    store = Store(folder / "models", Catalogue.load())
    for family in FAMILIES:
        if family.name in {"pixtral", "qwen3vl"}:
            model, projector = make_pair(family, folder)
            store.import_model(model, name=family.name, projector=projector)
    store.import_model(folder / "pixtral.gguf", name="blind")
    return Settings(home=folder, context_tokens=2500, image_max_tokens=120, threads=1, ocr="never")


@pytest.fixture
def service(settings: Settings) -> Iterator[ExtractionService]:
    service = ExtractionService(settings)
    yield service
    service.close()


@pytest.fixture
def client(service: ExtractionService) -> Retab:
    return Retab(transport=service)


def scan(text: str = "Total 42", size: tuple[int, int] = (300, 400)) -> bytes:
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((20, 30), text, fill="black")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def pdf(*pages: str) -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(200, 300))
    for text in pages:
        canvas.drawString(20, 250, text)
        canvas.rect(20, 20, 100, 100, fill=1)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def extract(client: Retab, document: bytes, schema: dict[str, Any] = SCHEMA, **fields: Any) -> Extraction:
    model = fields.pop("model", "pixtral")
    # A remembered result would need no engine.
    extraction = client.extractions.create(document, schema, model=model, bust_cache=True, **fields)
    jsonschema.validate(extraction.output, schema)
    assert extraction.usage is not None
    return extraction


@pytest.mark.parametrize("model", ["pixtral", "qwen3vl"])
def test_a_scan_is_seen_and_the_second_time_nothing_is_encoded(client: Retab, model: str) -> None:
    document = scan()
    first = extract(client, document, model=model)
    assert first.usage.encoded_images == 1
    assert 50 < first.usage.image_tokens <= 120
    again = extract(client, document, model=model)
    assert again.usage.encoded_images == 0
    assert again.usage.cached_prompt_tokens == again.usage.prompt_tokens - 1
    assert again.output == first.output
    other = extract(client, document, OTHER, model=model)
    assert other.usage.encoded_images == 0
    assert other.usage.image_tokens == first.usage.image_tokens


def test_what_is_seen_decides_the_answer(client: Retab) -> None:
    free = {"type": "object", "properties": {"title": {"type": "string", "maxLength": 40}}, "required": ["title"]}
    documents = [scan("x" * 40), scan("Paid", (300, 120)), scan("Total 42", (100, 400))]
    outputs = [str(extract(client, document, free, modality="image").output) for document in documents]
    assert len(set(outputs)) > 1


def test_a_pdf_is_drawn_and_its_text_goes_along(client: Retab) -> None:
    document = pdf("Invoice 7", "Total 42")
    both, image, text = (extract(client, document, modality=modality).usage for modality in ("auto", "image", "text"))
    assert both.image_tokens == image.image_tokens
    assert (both.encoded_images, image.encoded_images) == (2, 0)
    assert text.image_tokens == 0
    assert both.prompt_tokens > image.prompt_tokens + len("Invoice 7Total 42")
    assert text.prompt_tokens < both.prompt_tokens - image.image_tokens


def test_a_model_without_a_projector_reads_the_text(client: Retab) -> None:
    assert extract(client, pdf("Invoice 7"), model="blind").usage.image_tokens == 0
    with pytest.raises(ModalityError, match="pixtral reads text only"):
        extract(client, pdf("Invoice 7"), model="blind", modality="image")


def test_a_request_has_a_budget_of_its_own(client: Retab) -> None:
    usage = extract(client, scan(), image_max_tokens=40).usage
    assert 10 < usage.image_tokens <= 40
    with pytest.raises(RequestError, match="image_max_tokens=1: this model takes"):
        extract(client, scan(), image_max_tokens=1)


def test_pages_that_do_not_fit_at_once_are_read_in_windows(client: Retab) -> None:
    result = extract(client, pdf(*map(str, range(40))), modality="image")
    assert result.plan.mode == "windows"
    assert len(result.plan.parts) > 1
    one = extract(client, pdf("0"), modality="image").usage.image_tokens
    assert result.usage.image_tokens == 40 * one


def test_chunks_stream_and_only_grow(client: Retab) -> None:
    with client.extractions.create_stream(scan(), SCHEMA, model="pixtral") as stream:
        chunks = list(stream)
    assert isinstance(chunks[-1], Extraction)
    outputs = [chunk.output for chunk in chunks]
    for earlier, later in itertools.pairwise(outputs):
        for name, value in (earlier or {}).items():
            assert str(later[name]).startswith(str(value))


def test_a_stop_reaches_the_projector(
    client: Retab, service: ExtractionService, monkeypatch: pytest.MonkeyPatch
) -> None:
    from local_retab.engine.vision import Projector

    stream = client.extractions.create_stream(scan("slow"), SCHEMA, model="pixtral")
    on_node = Projector._on_node

    def stopping(projector: Projector, tensor: Any, ask: bool, data: Any) -> bool:
        stream.cancel()
        return on_node(projector, tensor, ask, data)

    # The callback is bound when the model is loaded.
    monkeypatch.setattr(Projector, "_on_node", stopping)
    with pytest.raises(GenerationCancelledError):
        stream.final()
    monkeypatch.undo()
    assert extract(client, scan("slow")).usage.encoded_images == 1


def test_broken_pairs_are_errors_of_the_model(client: Retab, settings: Settings, tmp_path: Path) -> None:
    model = (settings.home / "models" / "pixtral" / "pixtral.gguf").read_bytes()
    projector = (settings.home / "models" / "pixtral" / "mmproj-pixtral.gguf").read_bytes()
    other = (settings.home / "models" / "qwen3vl" / "mmproj-qwen3vl.gguf").read_bytes()
    path, beside = tmp_path / "mine.gguf", tmp_path / "mmproj-mine.gguf"
    path.write_bytes(model)

    def refusal(content: bytes) -> str:
        beside.write_bytes(content)
        with pytest.raises(ModelLoadError) as caught:
            extract(client, scan(), model=str(path))
        return caught.value.message

    assert "cannot load this projector" in refusal(projector[: len(projector) // 2])
    assert "mismatch between text model" in refusal(other)
    assert "not an image projector" in refusal(model)
    with pytest.raises(ModelLoadError, match="it is an image projector"):
        extract(client, scan(), model=str(tmp_path / "mmproj-mine.gguf")) if beside.write_bytes(projector) else None
    assert extract(client, scan(), model=str(path)).usage.encoded_images == 1
