"""Extraction from images that are really read, by the small trained model of this repository.

The pages lie in resources/nano: ``scripts/evaluate nano --keep`` wrote them, and the model reads them without a mistake.
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
from local_retab.errors import GenerationCancelledError, ModelLoadError
from local_retab.service import ExtractionService
from local_retab.weights import Catalogue, Store

PAGES = Path(__file__).parent / "resources" / "nano"
DPI = 192  # the default of image_resolution_dpi


@dataclass(frozen=True, slots=True)
class Sample:
    """A page that the model reads."""

    png: bytes
    schema: dict[str, Any]
    gold: dict[str, Any]


def sample(name: str) -> Sample:
    known = json.loads((PAGES / f"{name}.json").read_text())
    return Sample((PAGES / f"{name}.png").read_bytes(), known["schema"], known["gold"])


NAMES = sorted(path.stem for path in PAGES.glob("*.png"))
FIRST, SECOND = (sample(name) for name in NAMES[:2])


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("home")
    Store(home / "models", Catalogue.load()).pull("nano")
    return Settings(home=home, context_tokens=4096, threads=1, ocr="never")


@pytest.fixture(scope="module")
def service(settings: Settings) -> Iterator[ExtractionService]:
    service = ExtractionService(settings)
    yield service
    service.close()


@pytest.fixture(scope="module")
def client(service: ExtractionService) -> Retab:
    return Retab(transport=service)


def read(client: Retab, document: bytes, schema: dict[str, Any], **fields: Any) -> Extraction:
    fields = {"model": "nano", "modality": "image"} | fields
    result = client.extractions.create(document, schema, bust_cache=True, **fields)
    assert result.usage is not None
    return result


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
    assert read(client, page.png, page.schema).output == page.gold


def test_a_pdf_is_drawn_and_read(client: Retab) -> None:
    assert read(client, pdf(FIRST.png), FIRST.schema).output == FIRST.gold


def test_image_and_text_give_the_same(client: Retab) -> None:
    document = pdf(FIRST.png, text="Some words")
    result = read(client, document, FIRST.schema, modality="auto")
    assert result.usage.image_tokens > 200
    assert result.output == FIRST.gold


def test_what_is_seen_once_is_not_encoded_again(client: Retab) -> None:
    first = read(client, SECOND.png, {**SECOND.schema, "title": "Fresh"})
    # The pages of the tests before this one are kept as well.
    assert first.usage.encoded_images <= 1
    again = read(client, SECOND.png, SECOND.schema)
    assert again.usage.encoded_images == 0
    assert again.output == first.output == SECOND.gold
    name, kind = next(iter(SECOND.schema["properties"].items()))
    one = {**SECOND.schema, "properties": {name: kind}, "required": [name]}
    other = read(client, SECOND.png, one)
    assert other.usage.encoded_images == 0
    assert other.output == {name: SECOND.gold[name]}
