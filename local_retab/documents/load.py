"""Every form in which a document arrives, to a Document. Nothing is fetched: a document is bytes or a local file."""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
import stat
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, cast
from urllib.parse import unquote_to_bytes

from local_retab.documents.document import Document, content_id
from local_retab.documents.media_types import identify
from local_retab.documents.reading import prepare
from local_retab.errors import (
    CorruptDocumentError,
    DocumentLimitError,
    DocumentNotFoundError,
    EmptyDocumentError,
    RemoteFetchDisabledError,
    UnsupportedDocumentError,
)
from local_retab.settings import Settings
from local_retab.wire import MIMEData

if TYPE_CHECKING:
    from PIL.Image import Image

DocumentSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image | MIMEData"

_UNNAMED = "document"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?=//)")
_BLANKS = b" \t\r\n\f\v"
_MAX_SHOWN = 300
"""Characters of a path in a message: content is sometimes passed as if it were a path."""


def load(source: DocumentSource, *, filename: str | None = None, settings: Settings) -> Document:
    """The document in ``source``, identified by its bytes.

    ``source`` is a path, a data URL, bytes, a binary file (read from where it stands, left open), a Pillow image
    or MIMEData. ``filename`` names it where the source does not, or better than the source does.

    Raises DocumentNotFoundError, RemoteFetchDisabledError, UnsupportedDocumentError, CorruptDocumentError (bad
    base64, no known signature), EmptyDocumentError and DocumentLimitError (over ``max_document_bytes``).
    """
    if isinstance(source, MIMEData):
        return _from_url(source.url, filename or source.filename, settings)
    if isinstance(source, str) and source[:5].lower() == "data:":
        return _from_url(source, filename, settings)
    if isinstance(source, str | os.PathLike):
        return _from_path(os.fsdecode(source), filename, settings)
    if isinstance(source, bytes | bytearray | memoryview):
        _check_size(memoryview(source).nbytes, filename or _UNNAMED, settings)
        return _document(bytes(source), filename, None, settings)
    return _from_object(source, filename, settings)


def _from_object(source: object, filename: str | None, settings: Settings) -> Document:
    from PIL import Image

    if isinstance(source, Image.Image):
        return _from_image(source, filename, settings)
    if isinstance(source, io.TextIOBase):
        raise _not_binary(filename)
    if hasattr(source, "read"):
        return _from_file(cast(BinaryIO, source), filename, settings)
    raise UnsupportedDocumentError(
        f"A document cannot be a {type(source).__name__}. Give a path, bytes, a binary file, a Pillow image, a data"
        " URL or MIMEData."
    )


def _document(data: bytes, filename: str | None, content_type: str | None, settings: Settings) -> Document:
    if not data:
        raise EmptyDocumentError(f"{filename or _UNNAMED!r} is empty: 0 bytes. Send a document with content.")
    media = identify(data, filename or _UNNAMED, content_type)
    assert media.kind is not None
    name = filename or f"{_UNNAMED}.{(*media.extensions, 'bin')[0]}"
    document = Document(content_id(data), name, media.mime_type, media.kind, data)
    prepare(document, settings)
    return document


def _check_size(size: int, filename: str, settings: Settings) -> None:
    if size > settings.max_document_bytes:
        raise DocumentLimitError(
            f"{filename!r} has more than {settings.max_document_bytes:,} bytes. Make it smaller or split it, or"
            " raise LOCAL_RETAB_MAX_DOCUMENT_BYTES."
        )


def _from_path(path: str, filename: str | None, settings: Settings) -> Document:
    _refuse_url(path, filename or path)
    name = filename or os.path.basename(path) or path
    shown = path if len(path) <= _MAX_SHOWN else path[:_MAX_SHOWN] + "..."
    try:
        # A device or a pipe could block or never end.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DocumentNotFoundError(f"{shown!r} is not a file. Give the path of a document.")
        with open(path, "rb") as file:
            _check_size(os.fstat(file.fileno()).st_size, name, settings)
            data = file.read(settings.max_document_bytes + 1)
    # ValueError: a path with a NUL in it.
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a path"
        raise DocumentNotFoundError(
            f"{shown!r} cannot be read: {reason}. Check the path and its permissions."
        ) from error
    _check_size(len(data), name, settings)
    return _document(data, name, None, settings)


def _from_file(file: BinaryIO, filename: str | None, settings: Settings) -> Document:
    named = getattr(file, "name", None)
    name = filename or (os.path.basename(named) if isinstance(named, str) else None)
    data = bytearray()
    while len(data) <= settings.max_document_bytes:
        try:
            block = file.read(settings.max_document_bytes + 1 - len(data))
        except (OSError, ValueError) as error:
            raise DocumentNotFoundError(
                f"The file object of {name or _UNNAMED!r} cannot be read: {error}. Open it again for reading."
            ) from error
        if not isinstance(block, bytes | bytearray):
            raise _not_binary(name)
        if not block:
            break
        data += block
    _check_size(len(data), name or _UNNAMED, settings)
    return _document(bytes(data), name, None, settings)


def _not_binary(name: str | None) -> UnsupportedDocumentError:
    return UnsupportedDocumentError(
        f"The file object of {name or _UNNAMED!r} does not give bytes. Open it in binary mode, 'rb'."
    )


def _from_image(image: Image, filename: str | None, settings: Settings) -> Document:
    from local_retab.documents.images import encode_png

    named = os.path.basename(str(getattr(image, "filename", "")))
    name = filename or (f"{os.path.splitext(named)[0]}.png" if named else "image.png")
    data = encode_png(image, name, settings)
    _check_size(len(data), name, settings)
    return _document(data, name, "image/png", settings)


def _refuse_url(url: str, filename: str) -> None:
    scheme = _SCHEME.match(url)
    if scheme is None:
        return
    if scheme[1].lower() == "file":
        raise UnsupportedDocumentError(
            f"{filename!r} is a file URL, which is not followed. Give the path, or send the bytes."
        )
    raise RemoteFetchDisabledError(
        f"{filename!r} is at a {scheme[1].lower()} URL, and nothing is fetched from the network. Send the bytes"
        " inline, or give the path of a local copy."
    )


def _from_url(url: str, filename: str | None, settings: Settings) -> Document:
    """RFC 2397: ``data:[<media type>][;<parameter>]...[;base64],<data>``."""
    name = filename or _UNNAMED
    _refuse_url(url, name)
    header, comma, payload = url.partition(",")
    if header[:5].lower() != "data:" or not comma:
        raise UnsupportedDocumentError(
            f"The URL of {name!r} is not a data URL. Send the bytes as 'data:<media type>;base64,<bytes>'."
        )
    content_type, *parameters = header[5:].split(";")
    if parameters and parameters[-1].strip().lower() == "base64":
        data = _decoded_base64(payload, name, settings)
    else:
        # A percent-encoded byte takes three characters.
        _check_size(len(payload) - 2 * payload.count("%"), name, settings)
        data = unquote_to_bytes(payload)
    _check_size(len(data), name, settings)
    return _document(data, filename, content_type, settings)


def _decoded_base64(payload: str, filename: str, settings: Settings) -> bytes:
    try:
        digits = payload.encode("ascii")
        if b"%" in digits:
            digits = unquote_to_bytes(digits)
        digits = digits.translate(None, _BLANKS)
        _check_size(len(digits) // 4 * 3 - digits[-2:].count(b"="), filename, settings)
        return base64.b64decode(digits, validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise CorruptDocumentError(
            f"The base64 of {filename!r} is broken: {error}. Encode the bytes again, with padding."
        ) from error
