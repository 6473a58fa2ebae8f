"""Pages for a model that reads text: what is blank, what is a scan, and what is nothing at all."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable

import pytest
from PIL import Image, ImageDraw
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from local_retab.documents import load
from local_retab.errors import EmptyDocumentError, NoTextError
from local_retab.extraction.reading import read_pages
from local_retab.settings import Settings

SETTINGS = Settings()


def read(data: bytes, filename: str) -> list[str]:
    document = load(data, filename=filename, settings=SETTINGS)
    return [page.text for page in read_pages(document, dpi=96, settings=SETTINGS)]


def picture(*, blank: bool = False) -> Image.Image:
    image = Image.new("RGB", (200, 100), "white")
    if not blank:
        ImageDraw.Draw(image).rectangle((20, 20, 120, 60), fill="black")
    return image


def text(canvas: Canvas) -> None:
    canvas.drawString(50, 700, "Total 12.50")


def scan(canvas: Canvas) -> None:
    canvas.drawImage(ImageReader(picture()), 50, 600)


def nothing(canvas: Canvas) -> None:
    canvas.setAuthor("nobody")


def pdf(pages: Iterable[Callable[[Canvas], None]]) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out)
    for draw in pages:
        draw(canvas)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def test_text_is_its_own_page() -> None:
    assert read(b"Total\t12.50\n", "note.txt")[0].split() == ["Total", "12.50"]


def test_a_blank_page_between_others_is_an_empty_text() -> None:
    first, blank, last = read(pdf([text, nothing, text]), "a.pdf")
    assert "Total 12.50" in first
    assert blank.strip() == ""
    assert "Total 12.50" in last


def test_scanned_pages_are_named() -> None:
    with pytest.raises(NoTextError, match=r"a\.pdf: page 2, 4 of 4") as caught:
        read(pdf([text, scan, nothing, scan]), "a.pdf")
    assert caught.value.details == {"pages": [2, 4]}


def test_of_many_scanned_pages_ten_are_named_and_all_are_in_the_details() -> None:
    with pytest.raises(NoTextError, match="10, … of 12") as caught:
        read(pdf([scan] * 12), "a.pdf")
    assert caught.value.details == {"pages": list(range(1, 13))}


def test_an_image_has_no_text() -> None:
    with pytest.raises(NoTextError, match=r"a\.png"):
        read(png(picture()), "a.png")


@pytest.mark.parametrize("data", [pdf([nothing]), pdf([nothing] * 3), png(picture(blank=True))])
def test_a_document_of_blank_pages_is_empty(data: bytes) -> None:
    with pytest.raises(EmptyDocumentError, match="blank"):
        read(data, "a")


def test_the_noise_of_a_scanner_is_blank() -> None:
    image = Image.effect_noise((200, 100), 1).point(lambda value: min(255, max(244, value + 120)))
    with pytest.raises(EmptyDocumentError):
        read(png(image), "a.png")


def test_blank_text_is_empty() -> None:
    with pytest.raises(EmptyDocumentError):
        read(b" \n\n", "a.txt")
