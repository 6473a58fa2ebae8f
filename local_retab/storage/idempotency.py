"""Idempotency keys: the same operation sent again is the same record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_retab.errors import ConflictError
from local_retab.storage.records import now_microseconds

if TYPE_CHECKING:
    from local_retab.storage.database import Database

KEPT_MICROSECONDS = 24 * 3600 * 1_000_000


class IdempotencyKeys:
    """Keys of the last 24 hours and what they made: rows of ``table``, the id made in ``column``."""

    def __init__(self, database: Database, table: str, column: str) -> None:
        self._database = database
        self._table = table
        self._column = column

    def find(self, key: str, body_hash: str) -> str | None:
        """The id of what ``key`` made. Raises ConflictError when the request was another one."""
        with self._database.reading() as connection:
            row = connection.execute(
                f"SELECT body_hash, {self._column} FROM {self._table} WHERE key = ? AND created_at > ?",
                (key, now_microseconds() - KEPT_MICROSECONDS),
            ).fetchone()
        if row is None:
            return None
        if row["body_hash"] != body_hash:
            raise ConflictError(
                f"The Idempotency-Key {key[:80]!r} was used for another request. Use a new key for each request.",
                details={"id": row[self._column]},
            )
        return str(row[self._column])

    def remember(self, key: str, body_hash: str, made_id: str, *, instead_of: str | None) -> bool:
        """Bind ``key`` to an id. False when another request was faster, and has not the id ``instead_of``."""
        now = now_microseconds()
        with self._database.transaction() as connection:
            connection.execute(
                f"DELETE FROM {self._table} WHERE created_at <= ? OR (key = ? AND {self._column} = ?)",
                (now - KEPT_MICROSECONDS, key, instead_of),
            )
            done = connection.execute(
                f"INSERT OR IGNORE INTO {self._table} VALUES (?, ?, ?, ?)", (key, body_hash, made_id, now)
            )
            return done.rowcount == 1
