"""Damaged bytes: whatever happens to a file, reading it gives pages or a DocumentError that names it."""

from __future__ import annotations

import io
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_process import in_process
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from local_retab.documents import load, page_count, pages
from local_retab.errors import DocumentError

LIMITS = in_process(max_page_pixels=1_000_000, max_pages=20, max_document_seconds=20)


@cache
def pdf() -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(200, 100), invariant=1, pageCompression=0)
    canvas.drawString(20, 50, "Invoice A-17")
    canvas.acroForm.textfield(name="name", value="Ann", x=20, y=10, width=60, height=14)
    canvas.save()
    return out.getvalue()


@cache
def image(image_format: str) -> bytes:
    out = io.BytesIO()
    noise = bytes(at * at % 251 for at in range(2 * 12 * 9 * 3))
    frames = [Image.frombytes("RGB", (12, 9), half) for half in (noise[: 12 * 9 * 3], noise[12 * 9 * 3 :])]
    exif = Image.Exif()
    exif[0x0112] = 6
    # Pillow's encoders for these write one frame, or crash on the second (AVIF, libavif of Pillow 13.0).
    single = image_format in {"BMP", "JPEG", "AVIF"}
    frames[0].save(out, image_format, exif=exif, **({} if single else {"save_all": True, "append_images": frames[1:]}))
    return out.getvalue()


Edit = tuple[float, bytes]
"""Where in the file, as a share of its length, and what to write there."""
edits = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=6)), max_size=6)


def damaged(data: bytes, cut: float, changes: list[Edit]) -> bytes:
    out = bytearray(data)
    for place, written in changes:
        at = int(place * len(data))
        out[at : at + len(written)] = written
    return bytes(out[: int(cut * len(data))])


def read_all(data: bytes, filename: str) -> str:
    """The name of the file, from its page or from the error."""
    try:
        document = load(data, filename=filename, settings=LIMITS)
        count = page_count(document, LIMITS)
        found = list(pages(document, dpi=72, settings=LIMITS))
        modes = {page.render().mode for page in found}
    except DocumentError as error:
        return error.message
    return filename if len(found) == count and modes == {"RGB"} else "pages that do not add up"


@settings(deadline=None, max_examples=150)
@given(cut=st.floats(0, 1), changes=edits)
def test_a_damaged_pdf(cut: float, changes: list[Edit]) -> None:
    assert "a.pdf" in read_all(damaged(pdf(), 1.0, changes), "a.pdf")
    assert "a.pdf" in read_all(damaged(pdf(), cut, changes), "a.pdf")


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP", "AVIF"])
@settings(deadline=None, max_examples=40)
@given(cut=st.floats(0, 1), changes=edits)
def test_a_damaged_image(image_format: str, cut: float, changes: list[Edit]) -> None:
    name = f"a.{image_format.lower()}"
    assert name in read_all(damaged(image(image_format), 1.0, changes), name)
    assert name in read_all(damaged(image(image_format), cut, changes), name)


@settings(deadline=None, max_examples=50)
@given(data=st.binary(max_size=200), extension=st.sampled_from(["pdf", "png", "tif", "heic", "bin", "csv"]))
def test_junk(data: bytes, extension: str) -> None:
    outcome = read_all(data, f"a.{extension}")
    assert f"a.{extension}" in outcome
