"""What a model is shown of a document: modality, budgets and images."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image
from scripted_backend import ScriptedBackend

from local_retab import Settings
from local_retab.documents import Document, load, pages
from local_retab.engine.engine import Engine
from local_retab.errors import ContextLengthError, EmptyDocumentError, ModalityError, RequestError
from local_retab.extraction.seeing import (
    ImageBudget,
    Sight,
    choose_budget,
    choose_sight,
    fitted_size,
    image_cost,
    look_at,
)
from local_retab.wire import ExtractionParameters

SETTINGS = Settings()


def parameters(**fields: Any) -> ExtractionParameters:
    return ExtractionParameters(json_schema={}, **fields)


def frames(*shades: int, size: tuple[int, int] = (60, 80)) -> Document:
    """An image document with a page for each shade; pages of shade 255 are blank."""
    drawn = [Image.new("RGB", size, "white") for _ in shades]
    for image, shade in zip(drawn, shades, strict=True):
        image.paste((shade, shade, shade), (10, 10, 30, 30))
    buffer = io.BytesIO()
    drawn[0].save(buffer, "TIFF", save_all=True, append_images=drawn[1:])
    return load(buffer.getvalue(), filename="scan.tiff", settings=SETTINGS)


TEXT = load(b"plain text", filename="note.txt", settings=SETTINGS)


@pytest.fixture
def engine_with() -> Iterator[Callable[..., Engine]]:
    made: list[Engine] = []

    def make(**backend: Any) -> Engine:
        made.append(Engine(ScriptedBackend(lambda prompt: "0", **backend), max_sequences=1, prefill_chunk=16))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


BOTH, IMAGE, WORDS = Sight(images=True, text=True), Sight(images=True, text=False), Sight(images=False, text=True)


@pytest.mark.parametrize(
    ("modality", "sees", "document", "expected"),
    [
        (None, True, frames(0), BOTH),
        ("auto", True, frames(0), BOTH),
        ("auto", True, TEXT, WORDS),
        ("auto", False, frames(0), WORDS),
        ("text", True, frames(0), WORDS),
        ("image", True, frames(0), IMAGE),
    ],
)
def test_modality(
    modality: str | None, sees: bool, document: Document, expected: Sight, engine_with: Callable[..., Engine]
) -> None:
    engine = engine_with(image_tokens=5 if sees else 0)
    assert choose_sight(document, parameters(modality=modality), SETTINGS, engine) == expected


def test_the_setting_holds_where_the_request_says_nothing(engine_with: Callable[..., Engine]) -> None:
    engine, settings = engine_with(image_tokens=5), Settings(modality="text")
    assert choose_sight(frames(0), parameters(), settings, engine) == WORDS
    assert choose_sight(frames(0), parameters(modality="image"), settings, engine) == IMAGE


def test_images_for_a_model_that_is_blind_or_of_a_text_are_refused(engine_with: Callable[..., Engine]) -> None:
    with pytest.raises(ModalityError, match="scripted reads text only"):
        choose_sight(frames(0), parameters(modality="image"), SETTINGS, engine_with())
    with pytest.raises(ModalityError, match=r"'note\.txt' is text without pages"):
        choose_sight(TEXT, parameters(modality="image"), SETTINGS, engine_with(image_tokens=5))


def test_the_budget_is_the_requests_then_the_settings() -> None:
    settings = Settings(image_min_tokens=10, image_max_tokens=100)
    assert choose_budget(parameters(), SETTINGS) == ImageBudget(None, None)
    assert choose_budget(parameters(), settings) == ImageBudget(10, 100)
    assert choose_budget(parameters(image_max_tokens=50), settings) == ImageBudget(10, 50)
    with pytest.raises(RequestError, match="image_min_tokens is 10, above image_max_tokens, 5"):
        choose_budget(parameters(image_max_tokens=5), settings)


def patches(side: int, least: int = 1, most: int = 10**9) -> Callable[[int, int], int]:
    """Tokens as projectors of dynamic resolution count them: one for each square of ``side``, between limits."""

    def count(width: int, height: int) -> int:
        tokens = math.ceil(width / side) * math.ceil(height / side)
        return min(max(tokens, least), most)

    return count


SIZES = st.integers(8, 4000)


@given(width=SIZES, height=SIZES, most=st.integers(1, 5000))
def test_an_image_is_made_as_small_as_its_budget(width: int, height: int, most: int) -> None:
    count = patches(28)
    found = fitted_size(width, height, ImageBudget(None, most), count)
    assert count(*found) <= most
    if count(width, height) <= most:
        assert found == (width, height)


@given(width=SIZES, height=SIZES, least=st.integers(1, 3000))
def test_an_image_is_made_as_large_as_its_budget(width: int, height: int, least: int) -> None:
    assume(1 / 4 < width / height < 4)
    count = patches(28)
    found = fitted_size(width, height, ImageBudget(least, None), count)
    assert count(*found) >= least
    if count(width, height) >= least:
        assert found == (width, height)


def test_the_shape_is_kept() -> None:
    width, height = fitted_size(1588, 2246, ImageBudget(None, 400), patches(28))
    assert width / height == pytest.approx(1588 / 2246, rel=0.02)
    assert 350 <= patches(28)(width, height) <= 400


def test_a_budget_below_the_models_least_is_refused_with_what_it_takes() -> None:
    with pytest.raises(RequestError, match=r"image_max_tokens=100: this model takes 256 tokens"):
        fitted_size(600, 800, ImageBudget(None, 100), lambda _width, _height: 256)


def test_a_least_that_no_size_reaches_leaves_the_image_as_it_is() -> None:
    assert fitted_size(600, 800, ImageBudget(1000, None), lambda _width, _height: 256) == (600, 800)


def test_pages_are_looked_at_in_order(engine_with: Callable[..., Engine]) -> None:
    document = frames(0, 90, 255)
    found = look_at(
        document, list(pages(document, dpi=96, settings=SETTINGS)), ImageBudget(None, None), engine_with(image_tokens=5)
    )
    assert [(image.width, image.height) for image in found] == [(60, 80)] * 3
    assert [image.data[3 * (20 * 60 + 20)] for image in found] == [0, 90, 255]


def test_a_document_of_blank_pages_is_refused(engine_with: Callable[..., Engine]) -> None:
    document = frames(255, 255)
    with pytest.raises(EmptyDocumentError, match="every page is blank"):
        look_at(
            document,
            list(pages(document, dpi=96, settings=SETTINGS)),
            ImageBudget(None, None),
            engine_with(image_tokens=5),
        )


def test_pages_beyond_the_context_are_refused_with_the_number_that_fits(engine_with: Callable[..., Engine]) -> None:
    document = frames(*range(0, 250, 25))
    engine = engine_with(image_tokens=48, context_tokens=232)
    with pytest.raises(ContextLengthError) as caught:
        look_at(document, list(pages(document, dpi=96, settings=SETTINGS)), ImageBudget(None, None), engine)
    assert "4 of its 10 pages fit as images" in caught.value.message
    assert caught.value.details == {"limit": 200, "images": 10, "images_that_fit": 4}


def test_the_cost_is_known_before_a_page_is_drawn(engine_with: Callable[..., Engine]) -> None:
    engine = engine_with(image_tokens=48)
    cost = image_cost(frames(0, 1, 2), parameters(), SETTINGS, engine)
    assert cost is not None
    assert (cost.images, cost.tokens) == (3, 150)
    assert cost.seconds > 0
    assert image_cost(frames(0), parameters(modality="text"), SETTINGS, engine) is None
