"""Extraction from images that are really read, by the small trained model of this repository.

``scripts/evaluate nano --keep`` wrote the documents in resources/nano, all of which the model reads without a mistake.
"""

from __future__ import annotations

import io
import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from tiny_vision_models import FAMILIES, make_pair

from local_retab import Extraction, Retab, Settings
from local_retab.documents import Document
from local_retab.documents.isolation import client as isolation
from local_retab.errors import GenerationCancelledError, ModelLoadError
from local_retab.weights import Catalogue, Store

PAGES = Path(__file__).parent / "resources" / "nano"
DPI = 192  # the default of image_resolution_dpi


@dataclass(frozen=True, slots=True)
class Sample:
    """A page that the model reads."""

    picture: bytes
    schema: dict[str, Any]
    gold: dict[str, Any]


def sample(name: str) -> Sample:
    path = PAGES / name
    known = json.loads(path.with_suffix(".json").read_text())
    return Sample(path.read_bytes(), known["schema"], known["gold"])


NAMES = ("receipt.png", "invoice.png", "form.png", "proportional.png")
FIRST, SECOND, *_ = map(sample, NAMES)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("home")
    Store(home / "models", Catalogue.load()).pull("nano")
    return Settings(home=home, context_tokens=4096, threads=1, ocr="never", chunks_per_second=1_000_000)


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[Retab]:
    with Retab(settings) as client:
        yield client


def read(client: Retab, document: bytes, schema: dict[str, Any], **fields: Any) -> Extraction:
    fields = {"model": "nano", "modality": "image"} | fields
    result = client.extractions.create(document, schema, bust_cache=True, **fields)
    assert result.usage is not None
    return result


def marked(picture: bytes) -> bytes:
    """The same page but for one pixel in a corner: pixels that no cache knows."""
    image = Image.open(io.BytesIO(picture)).convert("L")
    image.putpixel((image.width - 1, image.height - 1), 0)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def pdf(*pictures: bytes, text: str = "") -> bytes:
    """Pages of the size that makes one pixel of a picture one pixel at DPI, and a text layer that nobody sees."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer)
    for picture in pictures:
        image = Image.open(io.BytesIO(picture))
        width, height = (side * 72 / DPI for side in image.size)
        canvas.setPageSize((width, height))
        canvas.drawImage(ImageReader(image), 0, 0, width, height)
        if text:
            layer = canvas.beginText(4, 4)
            layer.setTextRenderMode(3)
            layer.textOut(text)
            canvas.drawText(layer)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_read(client: Retab, name: str) -> None:
    page = sample(name)
    assert read(client, page.picture, page.schema).output == page.gold


def test_a_pdf_is_drawn_and_read(client: Retab) -> None:
    assert read(client, pdf(FIRST.picture), FIRST.schema).output == FIRST.gold


def test_image_and_text_give_the_same(client: Retab) -> None:
    document = pdf(FIRST.picture, text="Some words")
    result = read(client, document, FIRST.schema, modality="auto")
    assert result.usage.image_tokens > 200
    assert result.output == FIRST.gold


def test_what_is_seen_once_is_not_parsed_or_encoded_again(client: Retab, monkeypatch: pytest.MonkeyPatch) -> None:
    parsers: list[isolation.Worker] = []

    class Parser(isolation.Worker):
        def __init__(self, document: Document, dpi: int, settings: Settings) -> None:
            parsers.append(self)
            super().__init__(document, dpi, settings)

    monkeypatch.setattr(isolation, "Worker", Parser)
    picture = marked(SECOND.picture)
    first = read(client, picture, SECOND.schema)
    assert first.usage.encoded_images == 1
    assert parsers
    parsers.clear()
    again = read(client, picture, SECOND.schema)
    assert again.usage.encoded_images == 0
    assert again.output == first.output == SECOND.gold
    name, kind = next(iter(SECOND.schema["properties"].items()))
    one = {**SECOND.schema, "properties": {name: kind}, "required": [name]}
    other = read(client, picture, one)
    assert other.usage.encoded_images == 0
    assert other.output == {name: SECOND.gold[name]}
    assert not parsers


def test_two_pages_are_read_together(client: Retab) -> None:
    page = sample("two.tiff")
    result = read(client, page.picture, page.schema)
    assert result.usage.encoded_images == 2
    assert result.output == page.gold


def test_what_is_read_streams_and_only_grows(client: Retab) -> None:
    with client.extractions.create_stream(
        FIRST.picture, FIRST.schema, model="nano", modality="image", bust_cache=True
    ) as stream:
        chunks = list(stream)
    assert isinstance(chunks[-1], Extraction)
    assert chunks[-1].output == FIRST.gold
    outputs = [chunk.output or {} for chunk in chunks[:-1]]
    assert len({json.dumps(output) for output in outputs}) > len(FIRST.gold)
    for earlier, later in itertools.pairwise(outputs):
        for name, value in earlier.items():
            assert not isinstance(value, str) or later[name].startswith(value)


def test_a_stop_reaches_the_encoding(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from local_retab.engine.vision import Projector

    on_node, nodes = Projector._on_node, []

    def stopping(projector: Projector, tensor: Any, ask: bool, data: Any) -> bool:
        nodes.append(ask)
        if len(nodes) == 1:
            stream.cancel()
        return on_node(projector, tensor, ask, data)

    # The callback is bound when the model is loaded.
    monkeypatch.setattr(Projector, "_on_node", stopping)
    with Retab(settings) as client:
        stream = client.extractions.create_stream(
            FIRST.picture, FIRST.schema, model="nano", modality="image", bust_cache=True
        )
        with pytest.raises(GenerationCancelledError):
            stream.final()
        stopped = len(nodes)
        result = read(client, FIRST.picture, FIRST.schema)
        assert result.usage.encoded_images == 1
        assert result.output == FIRST.gold
        assert stopped < len(nodes) / 3


def test_broken_pairs_are_errors_of_the_model(client: Retab, settings: Settings, tmp_path: Path) -> None:
    folder = settings.home / "models" / "nano"
    model, beside = tmp_path / "mine.gguf", tmp_path / "mmproj-mine.gguf"
    shutil.copy(folder / "nano.gguf", model)
    projector = (folder / "mmproj-nano.gguf").read_bytes()

    def refusal(content: bytes) -> str:
        beside.write_bytes(content)
        with pytest.raises(ModelLoadError) as caught:
            read(client, FIRST.picture, FIRST.schema, model=str(model))
        assert str(beside) == caught.value.details["path"]
        return caught.value.message

    family = next(family for family in FAMILIES if family.name == "pixtral")
    _, other = make_pair(family, tmp_path)
    assert "cannot load this projector" in refusal(projector[: len(projector) // 2])
    assert "mismatch between text model" in refusal(other.read_bytes())
    beside.write_bytes(projector)
    with pytest.raises(ModelLoadError, match="it is an image projector"):
        read(client, FIRST.picture, FIRST.schema, model=str(beside))
    # A file by its path has no prompt profile, so its answer means nothing.
    paid = {"type": "object", "properties": {"paid": {"type": "boolean"}}, "required": ["paid"]}
    assert read(client, FIRST.picture, paid, model=str(model)).usage.encoded_images == 1
