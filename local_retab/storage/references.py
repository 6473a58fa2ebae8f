"""Durable references to stored files, in the hosted form; they are resolved here and never over the network."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from local_retab.wire import MIMEData

if TYPE_CHECKING:
    from local_retab.storage.files import StoredFile

STORAGE_HOST = "storage.retab.com"
ORGANISATION = "local"
_REFERENCE = re.compile(rf"https://{re.escape(STORAGE_HOST)}/(?:[^/]+/)?(file_[A-Za-z0-9_-]+)(?:\.[A-Za-z0-9]+)?")


def reference(file: StoredFile) -> MIMEData:
    """The durable reference to a stored file, which can be sent as a document."""
    extension = file.filename.rpartition(".")[2].lower() if "." in file.filename else ""
    if not re.fullmatch("[a-z0-9]{1,10}", extension):
        # The clients read an id only out of a name with an extension.
        extension = "bin"
    return MIMEData(filename=file.filename, url=f"https://{STORAGE_HOST}/{ORGANISATION}/{file.id}.{extension}")


def file_id_of_reference(url: str) -> str | None:
    """The file id in a durable reference, None when it is none."""
    found = _REFERENCE.fullmatch(url)
    return None if found is None else found[1]
