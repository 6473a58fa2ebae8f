"""The ZIP archive that OOXML and OpenDocument files are, checked against bombs and entities before anything reads it.

Opening costs a second pass over the XML parts, which is what makes sure that no library ever sees an entity.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

from lxml import etree

from local_retab.documents.document import Document
from local_retab.errors import CorruptDocumentError, DocumentLimitError, EncryptedDocumentError
from local_retab.settings import Settings

_XML_PART = re.compile(r"\.(?:xml|rels|vml)$", re.IGNORECASE)
_DECLARATION = re.compile(rb"<!(?:DOCTYPE|ENTITY)|<\x00?!\x00?D\x00?O\x00?C\x00?T\x00?Y\x00?P\x00?E", re.IGNORECASE)
_STRICT = b"http://purl.oclc.org/ooxml/"
# ISO 29500 names its strict namespaces anew; libraries know the transitional ones only.
_STRICT_NAMES = (
    (b"http://purl.oclc.org/ooxml/officeDocument/relationships/metadata/",
     b"http://schemas.openxmlformats.org/package/2006/relationships/metadata/"),
    (b"http://purl.oclc.org/ooxml/officeDocument/", b"http://schemas.openxmlformats.org/officeDocument/2006/"),
    (b"http://purl.oclc.org/ooxml/wordprocessingml/", b"http://schemas.openxmlformats.org/wordprocessingml/2006/"),
    (b"http://purl.oclc.org/ooxml/spreadsheetml/", b"http://schemas.openxmlformats.org/spreadsheetml/2006/"),
    (b"http://purl.oclc.org/ooxml/presentationml/", b"http://schemas.openxmlformats.org/presentationml/2006/"),
    (b"http://purl.oclc.org/ooxml/drawingml/", b"http://schemas.openxmlformats.org/drawingml/2006/"),
)  # fmt: skip


@contextmanager
def checked_archive(document: Document, settings: Settings) -> Iterator[zipfile.ZipFile]:
    """The archive, whose parts are few and small enough together, and hold no document type declaration.

    Raises CorruptDocumentError, EncryptedDocumentError (an OpenDocument file with a password) and
    DocumentLimitError over ``max_archive_entries`` or ``max_archive_bytes``.
    """
    with zipfile.ZipFile(io.BytesIO(document.data)) as archive:
        entries = archive.infolist()
        if len(entries) > settings.max_archive_entries:
            raise DocumentLimitError(
                f"{document.filename!r} has {len(entries):,} parts, over the limit of"
                f" {settings.max_archive_entries:,}. Save it again with an Office program, or raise"
                " LOCAL_RETAB_MAX_ARCHIVE_ENTRIES."
            )
        # A part cannot unpack to more than it declares: zipfile stops there.
        unpacked = sum(entry.file_size for entry in entries)
        if unpacked > settings.max_archive_bytes:
            raise DocumentLimitError(
                f"{document.filename!r} unpacks to {unpacked:,} bytes, over the limit of"
                f" {settings.max_archive_bytes:,}. Split it, or raise LOCAL_RETAB_MAX_ARCHIVE_BYTES."
            )
        for entry in entries:
            if entry.flag_bits & 1:
                raise EncryptedDocumentError(
                    f"{document.filename!r} is a ZIP archive with a password. Save a copy without it and send that."
                )
            if _XML_PART.search(entry.filename):
                _check_part(document, entry.filename, archive.read(entry))
        yield archive


def _check_part(document: Document, name: str, part: bytes) -> None:
    if _DECLARATION.search(part):
        raise CorruptDocumentError(
            f"{document.filename!r} declares a document type in its part {name!r}, which no Office file does."
            " Open it in its program and save it again."
        )
    if name == "META-INF/manifest.xml" and b"encryption-data" in part:
        raise EncryptedDocumentError(
            f"{document.filename!r} is an OpenDocument file with a password, which is not opened. Save a copy without"
            " the password and send that."
        )


def transitional(archive: zipfile.ZipFile, data: bytes) -> bytes:
    """``data``, or for a strict OOXML file the same file under the transitional namespaces."""
    if not any(_STRICT in archive.read(name) for name in archive.namelist() if name.endswith(".rels")):
        return data
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as rewritten:
        for entry in archive.infolist():
            part = archive.read(entry)
            if _XML_PART.search(entry.filename):
                for strict, name in _STRICT_NAMES:
                    part = part.replace(strict, name)
            rewritten.writestr(entry.filename, part)
    return out.getvalue()


def parse_part(archive: zipfile.ZipFile, name: str) -> etree._Element | None:
    """A part as an XML tree, or None where there is none; no entity is resolved and nothing fetched."""
    try:
        part = archive.read(name)
    except KeyError:
        return None
    return etree.fromstring(part, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
