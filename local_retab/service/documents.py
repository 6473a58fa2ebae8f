"""From a document of a request, in any of its wire forms, to its bytes. No path is ever opened."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from local_retab.documents import load
from local_retab.errors import StoredFileNotFoundError
from local_retab.storage.references import STORAGE_HOST, file_id_of_reference
from local_retab.wire import MIMEData

if TYPE_CHECKING:
    from local_retab.documents import Document
    from local_retab.service.links import Links
    from local_retab.settings import Settings
    from local_retab.storage import Record, Storage, StoredFile
    from local_retab.wire import DocumentInput

REMOTE = ("https://", "http://")
_CONTENT = re.compile(r"/v1/files/(file_[A-Za-z0-9_-]+)/content")


class DocumentReader:
    """Finds the bytes of documents: inline, or in the store."""

    def __init__(self, settings: Settings, storage: Storage, links: Links) -> None:
        self._settings = settings
        self._storage = storage
        self._links = links

    def read(self, document: DocumentInput) -> Document:
        """The document. Raises DocumentError, StoredFileNotFoundError, or LinkExpiredError."""
        if document.id is not None:
            return self._stored(document.id, document.filename)
        if document.content is not None:
            url = f"data:{document.mime_type or ''};base64,{document.content}"
            return load(url, filename=document.filename, settings=self._settings)
        assert document.url is not None
        file_id = self._file_of(document.url)
        if file_id is not None:
            return self._stored(file_id, document.filename)
        if self._settings.fetch_hosts and document.url.lower().startswith(REMOTE):
            from local_retab.service.fetching import Fetcher

            data = Fetcher(self._settings).fetch(document.url)
            return load(data, filename=document.filename, settings=self._settings)
        # Unlike a path, MIMEData is never opened.
        return load(MIMEData(filename=document.filename or "document", url=document.url), settings=self._settings)

    def of_record(self, record: Record) -> list[Document]:
        """The documents of a stored request. Raises StoredFileNotFoundError when one was deleted."""
        found = []
        for file in record.files:
            if file.file_id is None:
                raise _gone(file.filename)
            found.append(self._stored(file.file_id, file.filename))
        return found

    def stored(self, file_id: str) -> StoredFile:
        """The row of a file whose bytes are there. Raises StoredFileNotFoundError."""
        file = self._storage.files.get(file_id)
        if file is None or file.state != "ready":
            raise _gone(file_id)
        return file

    def _stored(self, file_id: str, filename: str | None) -> Document:
        file = self.stored(file_id)
        data = self._storage.files.read(file)
        if data is None:
            raise _gone(file_id)
        name = filename or file.filename
        return replace(load(data, filename=name, settings=self._settings), id=file_id)

    def _file_of(self, url: str) -> str | None:
        """The id of the stored file that a URL names: a durable reference, or one of our own signed links."""
        if not url.startswith(REMOTE):
            return None
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        if parts.hostname == STORAGE_HOST:
            file_id = file_id_of_reference(url)
            if file_id is None:
                raise _gone(url)
            return file_id
        found = _CONTENT.fullmatch(parts.path)
        if found is None or "signature" not in parts.query:
            return None
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self._links.check("GET", found[1], query.get("expires", ""), query.get("signature", ""))
        return found[1]


def _gone(name: str) -> StoredFileNotFoundError:
    return StoredFileNotFoundError(
        f"No file {name[:200]!r} is stored here, or its upload is not complete. Upload it again, or send the bytes "
        f"inline.",
        details={"file": name[:200]},
    )
