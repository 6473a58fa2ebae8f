"""Documents, pages and errors as plain data. What a worker sends is checked: a hostile file may have taken it over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_type_hints

from local_retab.documents.anchors import PLACES, Anchor, Place
from local_retab.documents.document import Document, Page
from local_retab.documents.layout import WordBox
from local_retab.documents.selection import PageSelection
from local_retab.errors import DocumentError, DocumentParserError, LocalRetabError, RequestError
from local_retab.settings import Settings

if TYPE_CHECKING:
    from PIL.Image import Image

_SETTINGS = (
    "max_document_bytes", "max_pages", "max_page_pixels", "max_text_chars", "max_document_seconds",
    "max_archive_bytes", "max_archive_entries", "max_parser_bytes",
)  # fmt: skip


def encode_job(document: Document, dpi: int, settings: Settings) -> dict[str, Any]:
    """Everything about a document but its bytes."""
    password = settings.document_password
    return {
        "id": document.id,
        "filename": document.filename,
        "mime_type": document.mime_type,
        "kind": document.kind,
        "selection": None if document.selection is None else document.selection.ranges,
        "attachments": document.attachments,
        "dpi": dpi,
        "settings": {name: getattr(settings, name) for name in _SETTINGS},
        "password": None if password is None else password.get_secret_value(),
    }


def decode_job(message: Mapping[str, Any], data: bytes) -> tuple[Document, int, Settings]:
    """What ``encode_job`` was given; the settings say that this process reads it."""
    ranges = message["selection"]
    selection = None if ranges is None else PageSelection(tuple((first, last) for first, last in ranges))
    document = Document(
        message["id"], message["filename"], message["mime_type"], message["kind"], data, selection,
        message["attachments"],
    )  # fmt: skip
    settings = Settings(**message["settings"], document_password=message["password"], document_isolation="none")
    return document, message["dpi"], settings


def encode_page(page: Page) -> dict[str, Any]:
    """A page without its pixels."""
    return {
        "number": page.number,
        "width": page.width,
        "height": page.height,
        "text": page.text,
        "pictures": [list(box) for box in page.pictures],
        "words": [[word.text, word.left, word.top, word.right, word.bottom] for word in page.words],
        "anchors": [
            [
                anchor.start,
                anchor.end,
                anchor.place.kind,
                *(getattr(anchor.place, f.name) for f in fields(anchor.place)),
            ]
            for anchor in page.anchors
        ],
    }


def decode_page(message: Mapping[str, Any], draw: Callable[[], Image]) -> Page:
    """Raises what a message of another shape leads to: KeyError, TypeError, ValueError."""
    words = tuple(
        WordBox(_of(str, text), *(float(edge) for edge in (left, top, right, bottom)))
        for text, left, top, right, bottom in message["words"]
    )
    pictures = tuple(
        (float(left), float(top), float(right), float(bottom)) for left, top, right, bottom in message["pictures"]
    )
    anchors = tuple(Anchor(_of(int, start), _of(int, end), _place(*rest)) for start, end, *rest in message["anchors"])
    return Page(
        _of(int, message["number"]),
        float(message["width"]),
        float(message["height"]),
        words,
        _of(str, message["text"]),
        draw,
        pictures=pictures,
        anchors=anchors,
    )


_PLACES = {place.kind: (place, [get_type_hints(place)[f.name] for f in fields(place)]) for place in PLACES}


def _place(kind: str, *values: Any) -> Place:
    place, types = _PLACES[kind]
    return place(*(_of(expected, value) for expected, value in zip(types, values, strict=True)))


def _of(expected: type, value: Any) -> Any:
    if type(value) is not expected:
        raise TypeError(f"{expected.__name__} expected")
    return value


def encode_error(error: LocalRetabError) -> dict[str, Any]:
    return {"error": type(error).__name__, "message": error.message}


def decode_error(message: Mapping[str, Any]) -> LocalRetabError:
    """The error by its class, which is one about documents or the request."""
    return _ERRORS.get(message["error"], DocumentParserError)(_of(str, message["message"]))


def _subclasses(kind: type[LocalRetabError]) -> list[type[LocalRetabError]]:
    return [kind, *(inner for child in kind.__subclasses__() for inner in _subclasses(child))]


_ERRORS = {kind.__name__: kind for root in (DocumentError, RequestError) for kind in _subclasses(root)}
