from __future__ import annotations

import io
from collections.abc import Callable, Iterable

import pytest
from in_process import in_process
from PIL import Image

from local_retab.documents import Document, Page, load, pages
from local_retab.settings import Settings

DPI = 72


@pytest.fixture
def settings() -> Settings:
    return in_process()


@pytest.fixture
def read(settings: Settings) -> Callable[..., list[Page]]:
    """All pages of bytes, at 72 dpi, where a pixel is a point."""

    def read_pages(data: bytes, filename: str | None = None) -> list[Page]:
        return list(pages(load(data, filename=filename, settings=settings), dpi=DPI, settings=settings))

    return read_pages


@pytest.fixture
def loaded(settings: Settings) -> Callable[..., Document]:
    def load_bytes(data: bytes, filename: str | None = None) -> Document:
        return load(data, filename=filename, settings=settings)

    return load_bytes


def _pdf(contents: Iterable[str], page_entries: str = "/MediaBox [0 0 300 200]", pages_entries: str = "") -> bytes:
    """A PDF with a page for each content stream, written out in full, so that a test sees every entry."""
    streams = [content.encode("latin-1") for content in contents]
    kids = " ".join(f"{4 + 2 * index} 0 R" for index in range(len(streams)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(streams)} {pages_entries} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for index, stream in enumerate(streams):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /Resources << /Font << /F 3 0 R >> >> {page_entries}"
            f" /Contents {5 + 2 * index} 0 R >>".encode()
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n".encode() + stream + b"\nendstream")
    out = io.BytesIO()
    out.write(b"%PDF-1.7\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(out.tell())
        out.write(f"{number} 0 obj\n".encode() + body + b"\nendobj\n")
    start = out.tell()
    out.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode())
    out.writelines(f"{offset:010} 00000 n \n".encode() for offset in offsets)
    out.write(f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n".encode())
    return out.getvalue()


@pytest.fixture(scope="session")
def make_pdf() -> Callable[..., bytes]:
    return _pdf


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """A Pillow image as the bytes of a file."""

    def encode_image(image: Image.Image, image_format: str, **options: object) -> bytes:
        out = io.BytesIO()
        image.save(out, image_format, **options)
        return out.getvalue()

    return encode_image
