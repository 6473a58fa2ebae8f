"""Idempotency keys: the same operation sent again is the same record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_retab.errors import ConflictError
from local_retab.storage.records import now_microseconds

if TYPE_CHECKING:
    from local_retab.storage.database import Database

KEPT_MICROSECONDS = 24 * 3600 * 1_000_000


class IdempotencyKeys:
    """Keys of the last 24 hours and the records that they made."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, key: str, body_hash: str) -> str | None:
        """The id of the record that ``key`` made. Raises ConflictError when the request was another one."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT body_hash, record_id FROM idempotency_keys WHERE key = ? AND created_at > ?",
                (key, now_microseconds() - KEPT_MICROSECONDS),
            ).fetchone()
        if row is None:
            return None
        if row["body_hash"] != body_hash:
            raise ConflictError(
                f"The Idempotency-Key {key[:80]!r} was used for another request. Use a new key for each request.",
                details={"id": row["record_id"]},
            )
        return str(row["record_id"])

    def remember(self, key: str, body_hash: str, record_id: str, *, instead_of: str | None) -> bool:
        """Bind ``key`` to a record. False when another request was faster, and has not the id ``instead_of``."""
        now = now_microseconds()
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM idempotency_keys WHERE created_at <= ? OR (key = ? AND record_id = ?)",
                (now - KEPT_MICROSECONDS, key, instead_of),
            )
            done = connection.execute(
                "INSERT OR IGNORE INTO idempotency_keys VALUES (?, ?, ?, ?)", (key, body_hash, record_id, now)
            )
            return done.rowcount == 1
