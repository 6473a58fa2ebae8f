"""What is fuzzed: each target takes any bytes, and may end only as its contract says. `scripts/fuzz` runs them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from in_process import in_process
from pydantic import ValidationError

from local_retab.documents import PageSelection, WordBox, lay_out, load, pages
from local_retab.errors import DocumentError, RequestError, SchemaError
from local_retab.extraction.partial import Missing, PartialJson, PartialJsonError
from local_retab.schema import load_schema, plan_schema
from local_retab.wire import ExtractionRequest

LIMITS = in_process(
    max_page_pixels=250_000, max_pages=5, max_document_seconds=10, max_text_chars=100_000, max_archive_bytes=4_000_000
)
EXTENSIONS = (
    "", "pdf", "png", "tif", "gif", "webp", "bmp", "jpg", "docx", "xlsx", "xls", "ods", "pptx", "odt", "html", "eml",
    "mht", "msg", "rtf", "csv", "tsv", "txt", "xml",
)  # fmt: skip
SHAPE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "string"}, "b": {"type": "array", "items": {"type": "number"}}},
}

SHAPE = plan_schema(SHAPE_SCHEMA, settings=LIMITS).shape


def fuzz_load(data: bytes) -> None:
    """A name and a file: pages, or a DocumentError."""
    name = "a." + EXTENSIONS[data[0] % len(EXTENSIONS)] if data else "a"
    with suppress(DocumentError):
        for page in pages(load(data[1:], filename=name, settings=LIMITS), dpi=36, settings=LIMITS):
            assert all(0 <= anchor.start < anchor.end <= len(page.text) for anchor in page.anchors)
            if page.width:
                page.render()


def fuzz_layout(data: bytes) -> None:
    """Word boxes of any numbers: a text that has every word."""
    floats = struct.iter_unpack("<4f", data[: len(data) // 16 * 16])
    words = [WordBox(f"w{index}", *box) for index, box in enumerate(floats)]
    text = lay_out(words, 600.0, 800.0)
    assert sorted(text.split()) == sorted(word.text for word in words)


def fuzz_schema(data: bytes) -> None:
    """JSON text: a plan, or a SchemaError."""
    with suppress(SchemaError):
        plan_schema(load_schema(data.decode("utf-8", errors="replace"), settings=LIMITS), settings=LIMITS)


def fuzz_partial(data: bytes) -> None:
    """An answer in pieces: snapshots, then a value, or a PartialJsonError."""
    machine = PartialJson(SHAPE)
    step = data[0] % 7 + 1 if data else 1
    try:
        for at in range(1, len(data), step):
            machine.feed(data[at : at + step])
            assert isinstance(machine.snapshot(), Missing | dict | list | str | int | float | None)
        machine.flush()
    except PartialJsonError:
        pass


def fuzz_request(data: bytes) -> None:
    """A request body: a request, or a ValidationError; its pages: a selection, or a RequestError."""
    try:
        request = ExtractionRequest.model_validate_json(data)
        PageSelection.parse(request.pages or data.decode("utf-8", errors="replace"))
    except (ValidationError, RequestError):
        pass


TARGETS: dict[str, Callable[[bytes], None]] = {
    "load": fuzz_load,
    "layout": fuzz_layout,
    "schema": fuzz_schema,
    "partial": fuzz_partial,
    "request": fuzz_request,
}
