"""What a model is shown of a document: the pages' text, and their images where the model sees."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_retab.documents import is_blank, pages
from local_retab.engine.images import Pixels
from local_retab.engine.pace import ImageCost, seconds_per_image_token
from local_retab.errors import ContextLengthError, EmptyDocumentError, ModalityError, RequestError

if TYPE_CHECKING:
    from PIL.Image import Image

    from local_retab.documents import Document, Page
    from local_retab.engine.engine import Engine
    from local_retab.settings import Settings
    from local_retab.wire import ExtractionParameters

_POINTS_PER_INCH = 72
_LARGEST_SIDE = 16384
_SMALLEST_SIDE = 16


@dataclass(frozen=True, slots=True)
class Sight:
    """Whether pages are shown as images, and whether their text is."""

    images: bool
    text: bool


@dataclass(frozen=True, slots=True)
class ImageBudget:
    """How many tokens an image may take; None: what the model does by itself."""

    least: int | None
    most: int | None


def choose_sight(document: Document, parameters: ExtractionParameters, settings: Settings, engine: Engine) -> Sight:
    """What the request's modality means for this document and model.

    ``auto``: image and text for a model that sees, text alone for others and for documents that have no pages to
    look at. Raises ModalityError when images are asked for and cannot be seen.
    """
    modality = parameters.modality or settings.modality
    drawable = document.drawable
    if modality == "text":
        return Sight(images=False, text=True)
    if modality == "auto":
        return Sight(images=engine.info.vision and drawable, text=True)
    if not engine.info.vision:
        raise ModalityError(
            f"modality=image: {engine.info.name} reads text only. Choose a model that sees "
            f"(`local-retab models list` shows which), or modality=auto."
        )
    if not drawable:
        raise ModalityError(f"modality=image: {document.filename!r} is text without pages. Use modality=auto.")
    return Sight(images=True, text=False)


def choose_budget(parameters: ExtractionParameters, settings: Settings) -> ImageBudget:
    """The request's image tokens, else those of the settings. Raises RequestError when the least is above the most."""
    most = parameters.image_max_tokens or settings.image_max_tokens
    least = parameters.image_min_tokens or settings.image_min_tokens
    if least is not None and most is not None and least > most:
        raise RequestError(f"image_min_tokens is {least}, above image_max_tokens, {most}. Correct one of them.")
    return ImageBudget(least, most)


def look_at(
    document: Document, shown: Sequence[Page], budget: ImageBudget, engine: Engine, *, whole: bool = True
) -> list[Pixels]:
    """The images of the pages that are ``shown``, the ``whole`` document or a part of it, each within ``budget``.

    Raises EmptyDocumentError when every page of a whole document is blank, ContextLengthError as soon as the images
    exceed the context, with the number of pages that fit, and what drawing a page raises.
    """
    images: list[Pixels] = []
    tokens = 0
    blank = True
    for page in shown:
        image = page.render()
        blank = blank and is_blank(image) and not page.text.strip()
        size = fitted_size(image.width, image.height, budget, engine.image_tokens)
        images.append(_pixels(image if size == image.size else image.resize(size, reducing_gap=3.0)))
        tokens += engine.image_tokens(*size)
        if tokens > engine.prompt_room:
            raise ContextLengthError(
                f"{document.filename!r}: {len(images) - 1} of its {len(shown)} pages fit as images into the "
                f"{engine.prompt_room} tokens that the context of {engine.info.name} has for a prompt. Send fewer "
                f"pages, lower image_max_tokens, or set LOCAL_RETAB_CONTEXT_TOKENS higher.",
                details={"limit": engine.prompt_room, "images": len(shown), "images_that_fit": len(images) - 1},
            )
    if blank and whole:
        raise EmptyDocumentError(f"{document.filename}: every page is blank. Send a document with content.")
    return images


def image_cost(
    document: Document, parameters: ExtractionParameters, settings: Settings, engine: Engine
) -> ImageCost | None:
    """What the document's page images will cost here; None where no images are shown.

    Nothing is drawn; a small picture is shown to the model for its pace. Raises as ``choose_sight`` and reading do.
    """
    if not choose_sight(document, parameters, settings, engine).images:
        return None
    dpi = parameters.image_resolution_dpi
    with closing(pages(document, dpi=dpi, settings=settings)) as found:
        sizes = [(page.width, page.height) for page in found]
    return size_cost(sizes, dpi, choose_budget(parameters, settings), engine)


def size_cost(sizes: Sequence[tuple[float, float]], dpi: int, budget: ImageBudget, engine: Engine) -> ImageCost:
    """What images of pages of these sizes, in points, drawn at ``dpi``, cost."""
    tokens = sum(size_tokens(width, height, dpi, budget, engine) for width, height in sizes)
    return ImageCost(len(sizes), tokens, tokens * seconds_per_image_token(engine))


def size_tokens(width: float, height: float, dpi: int, budget: ImageBudget, engine: Engine) -> int:
    """The tokens of the image of a page of this size, in points, drawn at ``dpi``."""
    drawn = max(math.ceil(width * dpi / _POINTS_PER_INCH), 1), max(math.ceil(height * dpi / _POINTS_PER_INCH), 1)
    return engine.image_tokens(*fitted_size(*drawn, budget, engine.image_tokens))


def fitted_size(width: int, height: int, budget: ImageBudget, count: Callable[[int, int], int]) -> tuple[int, int]:
    """The size at which an image takes a number of tokens within ``budget``, as ``count`` counts them.

    Tokens grow with the area, by steps. Raises RequestError when no size is small enough: the model spends more on
    any image. Where no size reaches the least, the image stays as it is.
    """
    tokens = count(width, height)
    if budget.most is not None and tokens > budget.most:
        return _shrunk(width, height, budget.most, count)
    if budget.least is not None and tokens < budget.least:
        return _grown(width, height, budget, count)
    return width, height


def _shrunk(width: int, height: int, most: int, count: Callable[[int, int], int]) -> tuple[int, int]:
    size, tokens = (width, height), count(width, height)
    scale = 1.0
    while tokens > most and max(size) > _SMALLEST_SIDE:
        scale *= min(math.sqrt(most / tokens), 0.95)
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        tokens = count(*size)
    if tokens > most:
        raise RequestError(
            f"image_max_tokens={most}: this model takes {tokens} tokens for the smallest image. Allow that many."
        )
    return size


def _grown(width: int, height: int, budget: ImageBudget, count: Callable[[int, int], int]) -> tuple[int, int]:
    assert budget.least is not None
    size, tokens = (width, height), count(width, height)
    scale = 1.0
    while tokens < budget.least:
        scale *= max(math.sqrt(budget.least / tokens), 1.02)
        larger = round(width * scale), round(height * scale)
        if max(larger) > _LARGEST_SIDE:
            return width, height
        size, tokens = larger, count(*larger)
    return size if budget.most is None or tokens <= budget.most else (width, height)


def _pixels(image: Image) -> Pixels:
    return Pixels(image.width, image.height, image.tobytes())
