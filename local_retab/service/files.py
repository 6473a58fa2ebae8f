"""Files: the upload lifecycle, reading, links, deleting."""

from __future__ import annotations

import hashlib
import mimetypes
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from local_retab.documents.document import content_id
from local_retab.errors import (
    ConflictError,
    DocumentLimitError,
    LinkExpiredError,
    RequestError,
    StoredFileNotFoundError,
    UploadMismatchError,
)
from local_retab.storage import Page, StoredFile, Window
from local_retab.storage.references import reference
from local_retab.wire import File, FileLink, FileUpload, MIMEData, UploadCompletion, UploadRequest

if TYPE_CHECKING:
    from pathlib import Path

    from local_retab.service.documents import DocumentReader
    from local_retab.service.links import Links
    from local_retab.service.records import Idempotency
    from local_retab.settings import Settings
    from local_retab.storage import Storage


UNKNOWN_TYPE = "application/octet-stream"


class FileCases:
    """The use cases of files. ``base`` is the address that the caller reaches this service at."""

    def __init__(self, settings: Settings, storage: Storage, documents: DocumentReader, links: Links) -> None:
        self._settings = settings
        self._storage = storage
        self._documents = documents
        self._links = links

    def begin_upload(self, request: UploadRequest, base: str, idempotency: Idempotency | None = None) -> FileUpload:
        """Reserve a file; under a key whose file waits for its bytes, or has them, that file once more.

        Raises DocumentLimitError when it is announced too large, ConflictError for a key of another request.
        """
        if not self._storage.keeps:
            raise RequestError(
                "Files cannot be uploaded: with LOCAL_RETAB_KEEP=none nothing is stored. Send the bytes inline."
            )
        self._check_size(request.size_bytes, request.filename)
        known = self._known(idempotency)
        if known is not None and (known.state == "ready" or not _has_expired(known)):
            return self._upload(known, base)
        expires_at = self._end_of_link()
        file = self._storage.files.reserve(
            request.filename,
            request.content_type,
            request.size_bytes,
            None if request.sha256 is None else request.sha256.lower(),
            expires_at,
        )
        if idempotency is not None:
            replaced = None if known is None else known.id
            keys = self._storage.upload_keys
            if not keys.remember(idempotency.key, idempotency.body_hash, file.id, instead_of=replaced):
                self._storage.delete_file(file.id)
                return self.begin_upload(request, base, idempotency)
        return self._upload(file, base)

    def _known(self, idempotency: Idempotency | None) -> StoredFile | None:
        """The file that an earlier request under the same key reserved. Raises ConflictError for another request."""
        if idempotency is None:
            return None
        file_id = self._storage.upload_keys.find(idempotency.key, idempotency.body_hash)
        return None if file_id is None else self._storage.files.get(file_id)

    def _upload(self, file: StoredFile, base: str) -> FileUpload:
        assert file.expires_at is not None
        return FileUpload(
            file_id=file.id,
            upload_url=base + self._links.path("PUT", file.id, file.expires_at),
            upload_headers={"Content-Type": file.mime_type or UNKNOWN_TYPE},
            expires_at=file.expires_at.replace(microsecond=0),
        )

    async def receive(self, file_id: str, chunks: AsyncIterator[bytes]) -> None:
        """Stream the bytes of an announced file to disk.

        Raises StoredFileNotFoundError, ConflictError after completion, DocumentLimitError over the largest document.
        """
        file = self._reserved(file_id)
        if file.state == "ready":
            raise ConflictError(f"The upload of {file_id} is complete. Upload other bytes as a new file.")
        files = self._storage.files
        partial = files.partial(file_id)
        digest, size = hashlib.sha256(), 0
        try:
            with open(partial, "xb", opener=_private) as target:
                async for chunk in chunks:
                    size += len(chunk)
                    self._check_size(size, file.filename)
                    digest.update(chunk)
                    target.write(chunk)
            files.received(file_id, partial, size, digest.hexdigest())
        finally:
            partial.unlink(missing_ok=True)

    def complete_upload(self, file_id: str, completion: UploadCompletion) -> MIMEData:
        """Check what came in against what was announced. Again on a complete file: the same answer.

        Raises StoredFileNotFoundError, LinkExpiredError, UploadMismatchError.
        """
        file = self._reserved(file_id)
        wanted = {sum_.lower() for sum_ in (file.expected_sha256, completion.sha256) if sum_ is not None}
        if file.state == "pending" and _has_expired(file):
            raise LinkExpiredError(f"The upload session of {file_id} has expired. Begin a new upload.")
        if file.size is None or file.size != file.expected_size:
            came = "no bytes" if file.size is None else f"{file.size:,} bytes"
            raise UploadMismatchError(
                f"{file.filename!r}: {came} came in, and {file.expected_size:,} were announced. Send the bytes to the "
                f"upload URL again, then complete the upload.",
                details={"size": file.size, "expected": file.expected_size},
            )
        if wanted - {file.sha256}:
            raise UploadMismatchError(
                f"{file.filename!r}: the SHA-256 of what came in is {file.sha256}, which is not the announced one. "
                f"Send the bytes to the upload URL again, then complete the upload.",
                details={"sha256": file.sha256},
            )
        if file.state == "pending":
            known = file.mime_type if file.mime_type not in (None, "", UNKNOWN_TYPE) else None
            self._storage.files.complete(file_id, known or media_type_of(file.filename))
        return reference(file)

    def add(self, filename: str, data: bytes) -> File:
        """Keep a file whose bytes are here."""
        self._check_size(len(data), filename)
        if not self._storage.keeps:
            raise RequestError(
                "Files cannot be stored: with LOCAL_RETAB_KEEP=none nothing is kept. Send the bytes inline."
            )
        file_id = content_id(data)
        self._storage.files.add(file_id, filename, media_type_of(filename), data, uploaded=True)
        return self.get(file_id)

    def get(self, file_id: str) -> File:
        """What is known of a file. Raises StoredFileNotFoundError."""
        file = self._storage.files.get(file_id)
        if file is None:
            raise not_found(file_id)
        return _file(file)

    def list(
        self,
        window: Window,
        *,
        filename: str | None = None,
        mime_type: str | None = None,
        start: int | None = None,
        end: int | None = None,
        by_update: bool = False,
    ) -> Page[File]:
        """A page of the files that are there."""
        page = self._storage.files.page(
            window, filename=filename, mime_type=mime_type, start=start, end=end, by_update=by_update
        )
        return Page(tuple(map(_file, page.items)), page.before, page.after)

    def link(self, file_id: str, base: str) -> FileLink:
        """A link to the bytes. Raises StoredFileNotFoundError."""
        file = self._documents.stored(file_id)
        return FileLink(
            download_url=base + self._links.path("GET", file.id, self._end_of_link()),
            expires_in=f"{self._settings.link_seconds / 60:g} minutes",
            filename=file.filename,
            mime_data=reference(file),
        )

    def content(self, file_id: str) -> tuple[StoredFile, Path]:
        """The file and where its bytes are. Raises StoredFileNotFoundError."""
        file = self._documents.stored(file_id)
        path = self._storage.files.path(file.id)
        if not path.is_file():
            raise not_found(file_id)
        return file, path

    def read(self, file_id: str) -> bytes:
        """The bytes of a file. Raises StoredFileNotFoundError."""
        data = self._storage.files.read(self._documents.stored(file_id))
        if data is None:
            raise not_found(file_id)
        return data

    def delete(self, file_id: str) -> None:
        """Delete a file for good. Raises StoredFileNotFoundError, ConflictError while a request needs it."""
        if self._storage.files.in_use(file_id):
            raise ConflictError(f"{file_id} is in use by a request that has not ended. Cancel or await it first.")
        if not self._storage.delete_file(file_id):
            raise not_found(file_id)

    def _reserved(self, file_id: str) -> StoredFile:
        file = self._storage.files.get(file_id)
        if file is None or not file.uploaded or file.expected_size is None:
            raise not_found(file_id)
        return file

    def _check_size(self, size: int, filename: str) -> None:
        limit = self._settings.max_document_bytes
        if size > limit:
            raise DocumentLimitError(
                f"{filename!r} has more than {limit:,} bytes. Make it smaller or split it, or raise "
                f"LOCAL_RETAB_MAX_DOCUMENT_BYTES."
            )

    def _end_of_link(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._settings.link_seconds)


def not_found(file_id: str) -> StoredFileNotFoundError:
    return StoredFileNotFoundError(
        f"No file {file_id[:80]!r} is stored. List them to see which there are.", details={"id": file_id[:80]}
    )


def _has_expired(file: StoredFile) -> bool:
    return file.expires_at is not None and file.expires_at < datetime.now(UTC)


def media_type_of(filename: str) -> str:
    """The media type that the extension says."""
    return mimetypes.guess_type(filename)[0] or UNKNOWN_TYPE


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _file(file: StoredFile) -> File:
    return File(
        id=file.id,
        filename=file.filename,
        mime_type=file.mime_type,
        created_at=file.created_at.replace(microsecond=0),
        updated_at=file.updated_at.replace(microsecond=0),
        page_count=file.page_count,
    )
