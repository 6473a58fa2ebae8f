"""What is inside a ZIP archive or a Microsoft compound file, told from names in the bytes: nothing is unpacked."""

from __future__ import annotations

import struct

ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
OLE_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_END_OF_DIRECTORY = b"PK\x05\x06"
_END_WINDOW = 65_557
"""The end of a ZIP archive's directory is in the last 22 bytes and a comment of at most 65,535 (APPNOTE 4.3.16)."""
_ZIP_PARTS = ((b"word/document", "docx"), (b"xl/workbook", "xlsx"), (b"ppt/presentation", "pptx"))
_ODF_TYPE = b"mimetypeapplication/vnd.oasis.opendocument."
_ODF = {b"text": "odt", b"spreadsheet": "ods", b"presentation": "odp"}
# In this order: a mail may hold documents, and a text may hold a workbook as an object.
_OLE_STREAMS = (
    ("EncryptedPackage", "encrypted"),
    ("__properties_version1.0", "msg"),
    ("WordDocument", "doc"),
    ("PowerPoint Document", "ppt"),
    ("Workbook", "xls"),
    ("Book", "xls"),
)


def zip_contents(data: bytes) -> str | None:
    """The extension of the Office format in a ZIP archive: by the first entry (OpenDocument, whose type comes first
    and uncompressed) or the names in its directory; None for any other or a truncated archive."""
    if data[30:].startswith(_ODF_TYPE):
        rest = data[30 + len(_ODF_TYPE) : 30 + len(_ODF_TYPE) + 16]
        return next((extension for name, extension in _ODF.items() if rest.startswith(name)), None)
    directory = _zip_directory(data)
    return next((extension for name, extension in _ZIP_PARTS if name in directory), None)


def is_truncated_zip(data: bytes) -> bool:
    """Whether an archive lacks its directory, which stands at the end."""
    return data.startswith(ZIP_SIGNATURES) and not _zip_directory(data)


def _zip_directory(data: bytes) -> bytes:
    end = data.rfind(_END_OF_DIRECTORY, max(len(data) - _END_WINDOW, 0))
    if end < 0 or end + 22 > len(data):
        return b""
    size = struct.unpack_from("<I", data, end + 12)[0]
    return data[max(end - size, 0) : end + 22]


def ole_contents(data: bytes) -> list[str]:
    """What a compound file may be, the likeliest first: doc, xls, ppt, msg, or ``encrypted`` for OOXML in it.

    Names of its streams stand in UTF-16 in 128-byte entries of its directory (MS-CFB 2.6.1).
    """
    found = []
    for name, what in _OLE_STREAMS:
        at = data.find(f"{name}\0".encode("utf-16-le"))
        while at >= 0 and at % 128:
            at = data.find(f"{name}\0".encode("utf-16-le"), at + 1)
        if at >= 0:
            found.append(what)
    return found
