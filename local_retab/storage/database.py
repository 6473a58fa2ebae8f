"""The SQLite database: one connection, its lock, and its migrations."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_retab.errors import StorageError
from local_retab.storage.migrations import MIGRATIONS

FILENAME = "local_retab.sqlite3"
BUSY_SECONDS = 30.0
SECRET_BYTES = 32


class Database:
    """One connection for all threads of a process; several processes can use one file at once (WAL).

    ``path`` None is a database in memory, which ends with the process. Raises StorageError for a file that cannot be
    used, and for one that a later version has migrated.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.RLock()
        with _errors(path):
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                # Documents are private: whoever may read the folder may not read the database for that alone.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = sqlite3.connect(
                ":memory:" if path is None else path,
                timeout=BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            # A client that nobody closes lets go of it all the same, when it is forgotten and when Python ends.
            self._close = weakref.finalize(self, self._connection.close)
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA foreign_keys = ON")
            # What is deleted is overwritten, so that it is gone from the disk.
            self._connection.execute("PRAGMA secure_delete = ON")
            if path is not None:
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = NORMAL")
            self._migrate()

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """The connection inside a write transaction, which is committed at the end and rolled back by an error.

        A commit outlives the process; a ``durable`` one also outlives a power cut. Raises StorageError.
        """
        with self._lock, _errors(self.path):
            if durable and self.path is not None:
                self._connection.execute("PRAGMA synchronous = FULL")
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
            finally:
                if durable and self.path is not None:
                    self._connection.execute("PRAGMA synchronous = NORMAL")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection for queries that see one state of the database. Raises StorageError."""
        with self._lock, _errors(self.path):
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("COMMIT")

    def secret(self, name: str) -> bytes:
        """The random key of this name, made when it is first asked for."""
        with self.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO secrets VALUES (?, ?)", (name, secrets.token_bytes(SECRET_BYTES)))
            return bytes(connection.execute("SELECT value FROM secrets WHERE name = ?", (name,)).fetchone()[0])

    def forget(self) -> None:
        """Take what was deleted out of the write-ahead log too, as far as no other process is reading it."""
        if self.path is not None:
            with self._lock, _errors(self.path):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def check(self) -> list[str]:
        """What ``PRAGMA integrity_check`` and ``foreign_key_check`` find wrong; empty when all is well."""
        with self._lock, _errors(self.path):
            found = [str(row[0]) for row in self._connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
            found += [
                f"foreign key of {row[0]} row {row[1]}" for row in self._connection.execute("PRAGMA foreign_key_check")
            ]
            return found

    def close(self) -> None:
        with self._lock, _errors(self.path):
            self._close()

    def _migrate(self) -> None:
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, name TEXT, applied_at INTEGER)"
        )
        version = self._version()
        if version > len(MIGRATIONS):
            raise StorageError(
                f"{self.path} was written by a later version of local_retab (step {version}, and this one knows "
                f"{len(MIGRATIONS)}). Update local_retab, or set LOCAL_RETAB_HOME to another folder."
            )
        for number, (name, statements) in enumerate(MIGRATIONS, start=1):
            if number <= version:
                continue
            with self.transaction() as connection:
                # Another process may have been first.
                if self._version() >= number:
                    continue
                for statement in statements:
                    connection.execute(statement)
                connection.execute("INSERT INTO migrations VALUES (?, ?, ?)", (number, name, int(time.time())))

    def _version(self) -> int:
        return int(self._connection.execute("SELECT coalesce(max(version), 0) FROM migrations").fetchone()[0])


def open_database(home: Path) -> Database:
    """The database under ``home``."""
    return Database(home / FILENAME)


def database_path(home: Path) -> Path:
    """Where the database under ``home`` is or would be."""
    return home / FILENAME


@contextmanager
def _errors(path: Path | None) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StorageError(
            f"The store {path or 'in memory'} cannot be used: {error}. Check the disk's space and permissions, run "
            f"`local-retab doctor`, or set LOCAL_RETAB_HOME to another folder."
        ) from error
