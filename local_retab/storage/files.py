"""Documents on disk: one file each under ``home/files``, and a row that says what it is."""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from local_retab.errors import StorageError
from local_retab.storage.paging import Condition, Page, Window, between, fetch_page, prefix_condition
from local_retab.storage.records import OPEN, now_microseconds

if TYPE_CHECKING:
    from local_retab.storage.database import Database


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What is known of a file. ``pending``: its upload is not complete; sizes in bytes."""

    id: str
    filename: str
    mime_type: str | None
    state: Literal["pending", "ready"]
    uploaded: bool
    size: int | None
    sha256: str | None
    page_count: int | None
    expected_size: int | None
    expected_sha256: str | None
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime


class Files:
    """The files under ``folder``; None keeps nothing (then only what is asked for in this process is known).

    An uploaded file stays until it is deleted; a document that came with a request goes with the last record that
    names it. ``deleted`` is called with the id of each file that was deleted, by this process.
    """

    def __init__(self, database: Database, folder: Path | None, deleted: Callable[[str], None]) -> None:
        self._database = database
        self._folder = folder
        self._deleted = deleted

    @property
    def keeps(self) -> bool:
        """Whether files are kept at all."""
        return self._folder is not None

    def path(self, file_id: str) -> Path:
        """Where the bytes of a file are. ``file_id`` comes from a row of the table, never from a request."""
        assert self._folder is not None
        return self._folder / file_id

    def add(self, file_id: str, filename: str, mime_type: str, data: bytes, *, uploaded: bool = False) -> None:
        """Keep a document that came with a request, or one that stays, unless it is there."""
        if self._folder is None:
            return
        known = self.get(file_id)
        if known is not None:
            if uploaded and not known.uploaded:
                with self._database.transaction() as connection:
                    connection.execute("UPDATE files SET uploaded = 1 WHERE id = ?", (file_id,))
            return
        self._write(file_id, data)
        now = now_microseconds()
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO files (id, filename, folded_filename, mime_type, state, uploaded, size, sha256, "
                "created_at, updated_at) VALUES (?, ?, ?, ?, 'ready', ?, ?, ?, ?, ?)",
                (
                    file_id,
                    filename,
                    filename.casefold(),
                    mime_type,
                    uploaded,
                    len(data),
                    hashlib.sha256(data).hexdigest(),
                    now,
                    now,
                ),
            )

    def _write(self, file_id: str, data: bytes) -> None:
        partial = self.partial(file_id)
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            partial.replace(self.path(file_id))
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise _unusable(partial, error) from error

    def partial(self, file_id: str) -> Path:
        """A fresh path for bytes that are still coming in. Raises StorageError."""
        assert self._folder is not None
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise _unusable(self._folder, error) from error
        return self._folder / f".{file_id}.{secrets.token_hex(8)}"

    def reserve(
        self, filename: str, mime_type: str | None, size: int, sha256: str | None, expires_at: datetime
    ) -> StoredFile:
        """A file whose bytes will be uploaded."""
        file_id = "file_" + secrets.token_hex(8)
        now = now_microseconds()
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO files (id, filename, folded_filename, mime_type, state, uploaded, expected_size, "
                "expected_sha256, expires_at, created_at, updated_at) VALUES (?, ?, ?, ?, 'pending', 1, ?, ?, ?, ?, ?)",
                (
                    file_id,
                    filename,
                    filename.casefold(),
                    mime_type,
                    size,
                    sha256,
                    int(expires_at.timestamp() * 1e6),
                    now,
                    now,
                ),
            )
        found = self.get(file_id)
        assert found is not None
        return found

    def received(self, file_id: str, partial: Path, size: int, sha256: str) -> None:
        """The bytes of a pending file have come in, at ``partial``. Raises StorageError."""
        try:
            partial.replace(self.path(file_id))
        except OSError as error:
            raise _unusable(partial, error) from error
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE files SET size = ?, sha256 = ?, updated_at = ? WHERE id = ? AND state = 'pending'",
                (size, sha256, now_microseconds(), file_id),
            )

    def complete(self, file_id: str, mime_type: str) -> None:
        """The upload of a file is complete."""
        with self._database.transaction(durable=True) as connection:
            connection.execute(
                "UPDATE files SET state = 'ready', mime_type = ?, updated_at = ? WHERE id = ?",
                (mime_type, now_microseconds(), file_id),
            )

    def set_page_count(self, file_id: str, pages: int) -> None:
        """Note how many pages a document turned out to have."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE files SET page_count = ?, updated_at = ? WHERE id = ? AND page_count IS NOT ?",
                (pages, now_microseconds(), file_id, pages),
            )

    def get(self, file_id: str) -> StoredFile | None:
        """The file, None when there is none."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT * FROM files WHERE id = ?", (file_id,)).fetchone()
            return None if row is None else _stored(row)

    def read(self, file: StoredFile) -> bytes | None:
        """The bytes of a file; None when they are gone."""
        try:
            return self.path(file.id).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(self.path(file.id), error) from error

    def page(
        self,
        window: Window,
        *,
        filename: str | None = None,
        mime_type: str | None = None,
        start: int | None = None,
        end: int | None = None,
        by_update: bool = False,
    ) -> Page[StoredFile]:
        """A page of the files whose upload is complete; times in microseconds since the epoch."""
        time_column = "updated_at" if by_update else "created_at"
        conditions = [Condition("state = 'ready'"), *between("created_at", start, end)]
        if filename:
            conditions.append(prefix_condition(filename))
        if mime_type:
            conditions.append(Condition("mime_type = ?", (mime_type,)))
        with self._database.reading() as connection:
            page = fetch_page(connection, "files", conditions, window, time_column)
            return Page(tuple(_stored(row) for row in page.items), page.before, page.after)

    def delete(self, file_id: str) -> bool:
        """Delete a file: its row, its bytes, and results that were cached for them. False when there is none."""
        file = self.get(file_id)
        if file is None:
            return False
        with self._database.transaction(durable=True) as connection:
            connection.execute("DELETE FROM files WHERE id = ?", (file_id,))
            # Another file may have the same bytes; its results go too and are computed again.
            connection.execute("DELETE FROM cache WHERE document_sha256 = ?", (file.sha256,))
        if self._folder is not None:
            self.path(file_id).unlink(missing_ok=True)
        self._deleted(file_id)
        return True

    def delete_orphans(self, moment: int | None = None) -> None:
        """Delete documents of requests whose records are gone; and, older than ``moment``, all unused files."""
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT id FROM files WHERE (uploaded = 0 OR created_at < ?) AND NOT EXISTS "
                "(SELECT 1 FROM record_files WHERE record_files.file_id = files.id) "
                # A request whose record is not written yet may have just added its document.
                "AND updated_at < ?",
                (moment or 0, now_microseconds() - ORPHAN_MICROSECONDS),
            ).fetchall()
        for row in found:
            self.delete(row[0])

    def users(self, file_id: str) -> int:
        """How many records name the file."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT count(*) FROM record_files WHERE file_id = ?", (file_id,)).fetchone()
            return int(row[0])

    def in_use(self, file_id: str) -> bool:
        """Whether a request that has not ended needs the file."""
        with self._database.reading() as connection:
            return (
                connection.execute(
                    "SELECT 1 FROM record_files JOIN records ON records.id = record_files.record_id "
                    f"WHERE file_id = ? AND status IN {OPEN}",
                    (file_id,),
                ).fetchone()
                is not None
            )


ORPHAN_MICROSECONDS = 60 * 1_000_000


def _stored(row: sqlite3.Row) -> StoredFile:
    return StoredFile(
        id=row["id"],
        filename=row["filename"],
        mime_type=row["mime_type"],
        state=row["state"],
        uploaded=bool(row["uploaded"]),
        size=row["size"],
        sha256=row["sha256"],
        page_count=row["page_count"],
        expected_size=row["expected_size"],
        expected_sha256=row["expected_sha256"],
        expires_at=None if row["expires_at"] is None else _moment(row["expires_at"]),
        created_at=_moment(row["created_at"]),
        updated_at=_moment(row["updated_at"]),
    )


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)


def _unusable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path} cannot be used: {error}. Check the disk's space and permissions, or set LOCAL_RETAB_HOME to another "
        f"folder."
    )
