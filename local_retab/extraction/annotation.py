"""Pages with a box around each value that was found, so that a person sees where it came from."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_retab.documents import pages
from local_retab.errors import RequestError

if TYPE_CHECKING:
    from PIL.Image import Image

    from local_retab.documents import Document
    from local_retab.settings import Settings
    from local_retab.wire import ExtractionSources

FORMATS = {".png": "PNG", ".pdf": "PDF"}
_LABEL_SIZE = 0.008
"""Height of a label in heights of the page."""


def annotated_pages(document: Document, sources: ExtractionSources, *, dpi: int, settings: Settings) -> list[Image]:
    """The pages of a PDF or image document with the sources' boxes and the names of their fields.

    Raises RequestError for a document that has no pages to draw on, and what reading its pages raises.
    """
    if document.kind == "text":
        raise RequestError(f"{document.filename!r} is text and has no pages to draw on. Leave out the annotation.")
    boxes: dict[int, list[tuple[str, dict[str, Any]]]] = {}
    for path, source in _found(sources.sources, ""):
        boxes.setdefault(source["anchor"].get("page", 1), []).append((path, source["anchor"]))
    found: list[Image] = []
    with closing(pages(document, dpi=dpi, settings=settings)) as all_pages:
        for page in all_pages:
            image = page.render()
            _draw(image, boxes.get(page.number, []))
            found.append(image)
    return found


def save_annotated(images: list[Image], path: Path) -> None:
    """As a PDF with all pages, or as one PNG with the pages under one another. Raises RequestError."""
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise RequestError(f"{path}: annotated pages are written as .png or .pdf. Choose one of these names.")
    try:
        if form == "PDF":
            images[0].save(path, form, save_all=True, append_images=images[1:])
        else:
            _stacked(images).save(path, form)
    except OSError as error:
        raise RequestError(f"{path}: cannot be written: {error.strerror or error}. Choose another path.") from error


def _stacked(images: list[Image]) -> Image:
    from PIL import Image as pillow

    whole = pillow.new("RGB", (max(i.width for i in images), sum(i.height for i in images)), "white")
    top = 0
    for image in images:
        whole.paste(image, (0, top))
        top += image.height
    return whole


def _found(tree: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(tree, dict) and tree.keys() == {"value", "source"}:
        if tree["source"]:
            yield path, tree["source"]
    elif isinstance(tree, dict):
        for key, child in tree.items():
            yield from _found(child, f"{path}.{key}" if path else key)
    elif isinstance(tree, list):
        for index, child in enumerate(tree):
            yield from _found(child, f"{path}.{index}")


def _draw(image: Image, boxes: list[tuple[str, dict[str, Any]]]) -> None:
    from PIL import ImageDraw, ImageFont

    draw = ImageDraw.Draw(image, "RGBA")
    font = ImageFont.load_default(max(round(image.height * _LABEL_SIZE), 9))
    for path, anchor in boxes:
        colour = _colour(path.partition(".")[0])
        left, top = anchor["left"] * image.width, anchor["top"] * image.height
        right, bottom = left + anchor["width"] * image.width, top + anchor["height"] * image.height
        draw.rectangle((left - 2, top - 2, right + 2, bottom + 2), outline=colour, fill=(*colour, 40), width=2)
        label = draw.textbbox((0, 0), path, font=font)
        y = top - 2 - (label[3] - label[1]) - 3
        y = y if y >= 0 else bottom + 3
        draw.rectangle((left - 2, y, left + label[2] + 2, y + label[3] - label[1] + 3), fill=(*colour, 220))
        draw.text((left, y + 1 - label[1]), path, fill="white", font=font)


def _colour(name: str) -> tuple[int, int, int]:
    """One dark colour for each field, the same in every run."""
    hue = sum(ord(char) * 31**index for index, char in enumerate(name)) % 360 / 360
    red, green, blue = colorsys.hls_to_rgb(hue, 0.38, 0.8)
    return round(red * 255), round(green * 255), round(blue * 255)
