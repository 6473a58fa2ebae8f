"""The durable queue of background requests, which are records that wait.

A record belongs to the process that accepted it. What a process leaves behind, others take over: what was only
queued runs, what was in progress runs once more, and then fails with INTERRUPTED. A record goes from one status to
the next by one UPDATE that names the status it had, so that each ends exactly once.
"""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

from local_retab.storage.records import OPEN, Record, _record, now_microseconds

if TYPE_CHECKING:
    from local_retab.storage.database import Database
    from local_retab.storage.owners import Owner

RELEASED = ""
MAX_ATTEMPTS = 2
INTERRUPTED = {
    "code": "INTERRUPTED",
    "message": "The process that worked on this request ended before it was done. Send the request again.",
    "details": None,
}


class Queue:
    """Background records in order of arrival."""

    def __init__(self, database: Database, owner: Owner) -> None:
        self._database = database
        self._owner = owner

    def waiting(self) -> int:
        """How many background records wait."""
        with self._database.reading() as connection:
            return int(
                connection.execute(
                    "SELECT count(*) FROM records WHERE background AND status IN ('pending', 'queued')"
                ).fetchone()[0]
            )

    def claim(self) -> Record | None:
        """The next record to run, now in progress and this process's; None when nothing waits."""
        mine = self._owner.id
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT * FROM records WHERE background AND ("
                "(status IN ('pending', 'queued') AND owner IN (?, ?)) OR (status = 'in_progress' AND owner = ?)"
                ") ORDER BY sequence LIMIT 1",
                (mine, RELEASED, RELEASED),
            ).fetchone()
            if row is None:
                return None
            connection.execute(
                "UPDATE records SET status = 'in_progress', owner = ?, attempts = attempts + 1, updated_at = ? "
                "WHERE id = ?",
                (mine, now_microseconds(), row["id"]),
            )
            again = connection.execute("SELECT * FROM records WHERE id = ?", (row["id"],)).fetchone()
            return _record(connection, again)

    def release(self, record_id: str, *, counted: bool) -> None:
        """Give a record that is in progress back, to be claimed again; not ``counted``: as if it had not begun."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE records SET owner = ?, attempts = attempts - ? "
                "WHERE id = ? AND status = 'in_progress' AND owner = ?",
                (RELEASED, 0 if counted else 1, record_id, self._owner.id),
            )

    def leave(self) -> None:
        """This process ends: what waits is for another to run, and what it did not finish has failed."""
        with self._database.transaction(durable=True) as connection:
            self._adopt(connection, self._owner.id)

    def adopt(self) -> int:
        """Take over what dead processes left. Returns how many records it concerned."""
        with self._database.transaction(durable=True) as connection:
            owners = [
                row[0]
                for row in connection.execute(f"SELECT DISTINCT owner FROM records WHERE status IN {OPEN}")
                if row[0] != RELEASED and self._owner.is_dead(row[0])
            ]
            count = sum(self._adopt(connection, owner) for owner in owners)
        for owner in owners:
            self._owner.forget(owner)
        return count

    def _adopt(self, connection: sqlite3.Connection, owner: str) -> int:
        open_records = connection.execute(
            f"SELECT id, body, background, status, attempts FROM records WHERE owner = ? AND status IN {OPEN}", (owner,)
        ).fetchall()
        for row in open_records:
            if row["background"] and (row["status"] != "in_progress" or row["attempts"] < MAX_ATTEMPTS):
                connection.execute("UPDATE records SET owner = ? WHERE id = ?", (RELEASED, row["id"]))
                continue
            body = {**json.loads(row["body"]), "error": INTERRUPTED, "status": "failed"}
            connection.execute(
                "UPDATE records SET status = 'failed', body = ?, updated_at = ? WHERE id = ?",
                (json.dumps(body), now_microseconds(), row["id"]),
            )
        return len(open_records)
