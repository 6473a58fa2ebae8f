"""Extraction from images that are really read, by the small trained model of this repository."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from local_retab import Extraction, Retab, Settings
from local_retab.weights import Catalogue, Store

FOLDER = Path(__file__).resolve().parents[1] / "models" / "nano"
pytestmark = pytest.mark.skipif(
    not (FOLDER / "nano.gguf").exists(), reason="models/nano has no weights: scripts/train_nano makes them"
)
SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": "string", "maxLength": 20}},
    "required": ["total"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retab]:
    home = tmp_path_factory.mktemp("home")
    Store(home / "models", Catalogue.load()).pull("nano")
    with Retab(Settings(home=home, context_tokens=4096, threads=1, ocr="never")) as client:
        yield client


def page(text: str) -> bytes:
    image = Image.new("RGB", (256, 256), "white")
    ImageDraw.Draw(image).text((16, 40), text, fill="black", font_size=14)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def read(client: Retab, *, text: str = "Total 12.50") -> Extraction:
    return client.extractions.create(page(text), SCHEMA, model="nano", modality="image", bust_cache=True)


def test_a_page_is_seen_once(client: Retab) -> None:
    first, again = read(client), read(client)
    assert first.usage is not None
    assert again.usage is not None
    assert first.usage.encoded_images == 1
    assert first.usage.image_tokens > 200
    assert again.usage.encoded_images == 0
    assert again.output == first.output
