"""Finished results by everything that they depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_retab.storage.records import now_microseconds

if TYPE_CHECKING:
    from local_retab.storage.database import Database


class ResultCache:
    """Texts by key, the oldest dropped when they exceed ``max_bytes`` together."""

    def __init__(self, database: Database, max_bytes: int) -> None:
        self._database = database
        self._max_bytes = max_bytes

    def get(self, key: str) -> str | None:
        """The value, None when there is none."""
        if not self._max_bytes:
            return None
        with self._database.reading() as connection:
            row = connection.execute("SELECT value FROM cache WHERE key = ?", (key,)).fetchone()
            return None if row is None else str(row[0])

    def put(self, key: str, document_sha256: str, value: str) -> None:
        """Store a value, instead of the one that was there."""
        if len(value) > self._max_bytes:
            return
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO cache VALUES (?, ?, ?, ?)", (key, document_sha256, value, now_microseconds())
            )
            excess = int(connection.execute("SELECT sum(length(value)) FROM cache").fetchone()[0]) - self._max_bytes
            while excess > 0:
                oldest = connection.execute(
                    "SELECT key, length(value) FROM cache ORDER BY created_at LIMIT 1"
                ).fetchone()
                connection.execute("DELETE FROM cache WHERE key = ?", (oldest[0],))
                excess -= oldest[1]

    def delete_document(self, document_sha256: str) -> None:
        """Drop the results of a document."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM cache WHERE document_sha256 = ?", (document_sha256,))

    def delete_before(self, moment: int) -> None:
        """Drop what was stored before ``moment``, microseconds."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM cache WHERE created_at < ?", (moment,))
