"""Records of requests: extractions, parses and schema generations, from acceptance to their end."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from local_retab.storage.paging import Condition, Page, Window, between, fetch_page, prefix_condition
from local_retab.wire import Status

if TYPE_CHECKING:
    from local_retab.storage.database import Database

Kind = Literal["extraction", "parse", "schema"]
OPEN: tuple[Status, ...] = ("pending", "queued", "in_progress")
TERMINAL: tuple[Status, ...] = tuple(status for status in get_args(Status) if status not in OPEN)


@dataclass(frozen=True, slots=True)
class RecordFile:
    """A document of a request; ``file_id`` None when it is not kept or was deleted."""

    file_id: str | None
    filename: str


@dataclass(frozen=True, slots=True)
class Record:
    """One request. ``body`` is the response without its output, ``request`` what a background run needs.

    ``sources_of``: the extraction whose cited sources it finds; such a record is in no list and goes with it.
    """

    id: str
    kind: Kind
    status: Status
    created_at: datetime
    body: dict[str, Any]
    output: Any
    request: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] | None = None
    files: tuple[RecordFile, ...] = ()
    background: bool = False
    attempts: int = 0
    sources_of: str | None = None
    updated_at: datetime | None = None

    @property
    def response(self) -> dict[str, Any]:
        """The whole response."""
        return {**self.body, "output": self.output, "status": self.status}


@dataclass(frozen=True, slots=True)
class Filters:
    """Which records of a kind; times in microseconds since the epoch, ``start`` inclusive, ``end`` exclusive."""

    filename: str | None = None
    filename_contains: str | None = None
    extensions: tuple[str, ...] = ()
    status: Status | None = None
    start: int | None = None
    end: int | None = None
    metadata: dict[str, str] | None = None


class Records:
    """The table of records. A record that has ended never changes again; it can only be deleted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, record: Record, owner: str) -> bool:
        """Store a new record. A background one outlives a power cut from here on.

        False when the extraction in ``sources_of`` is gone, or has another such record.
        """
        now = _microseconds(record.created_at)
        filename = record.files[0].filename if record.files else ""
        with self._database.transaction(durable=record.background) as connection:
            if record.sources_of is not None and not _may_have_sources(connection, record.sources_of):
                return False
            connection.execute(
                "INSERT INTO records (id, kind, status, created_at, updated_at, filename, folded_filename, extension, "
                "metadata, request, body, output, background, owner, attempts, sources_of) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    record.id,
                    record.kind,
                    record.status,
                    now,
                    now,
                    filename,
                    filename.casefold(),
                    PurePath(filename).suffix[1:].lower(),
                    None if record.metadata is None else json.dumps(record.metadata),
                    json.dumps(record.request),
                    json.dumps(record.body),
                    json.dumps(record.output),
                    record.background,
                    owner,
                    record.attempts,
                    record.sources_of,
                ),
            )
            connection.executemany(
                # A file that was deleted in between is as one that is not kept.
                "INSERT INTO record_files VALUES (?, ?, (SELECT id FROM files WHERE id = ?), ?)",
                [(record.id, place, file.file_id, file.filename) for place, file in enumerate(record.files)],
            )
        return True

    def finish(self, record_id: str, status: Status, body: dict[str, Any], output: Any, *, owner: str | None) -> bool:
        """End a record that is open. False when it ended before, was deleted, or belongs to another ``owner``."""
        assert status in TERMINAL
        with self._database.transaction(durable=True) as connection:
            done = connection.execute(
                "UPDATE records SET status = ?, body = ?, output = ?, updated_at = ? "
                f"WHERE id = ? AND status IN {OPEN} AND (? IS NULL OR owner = ?)",
                (status, json.dumps(body), json.dumps(output), now_microseconds(), record_id, owner, owner),
            )
            return done.rowcount == 1

    def get(self, record_id: str, kind: Kind) -> Record | None:
        """The record, None when there is none."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT * FROM records WHERE id = ? AND kind = ?", (record_id, kind)).fetchone()
            return None if row is None else _record(connection, row)

    def with_sources_of(self, extraction_id: str) -> Record | None:
        """The record that finds the cited sources of an extraction, None when there is none."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT * FROM records WHERE sources_of = ?", (extraction_id,)).fetchone()
            return None if row is None else _record(connection, row)

    def status(self, record_id: str) -> Status | None:
        """The record's status alone; None when there is no such record."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT status FROM records WHERE id = ?", (record_id,)).fetchone()
            return None if row is None else cast("Status", row[0])

    def page(self, kind: Kind, filters: Filters, window: Window) -> Page[Record]:
        """A page of the records of a kind, ordered by their time of creation."""
        with self._database.reading() as connection:
            page = fetch_page(connection, "records", _conditions(kind, filters), window, "created_at")
            return Page(tuple(_record(connection, row) for row in page.items), page.before, page.after)

    def delete(self, record_id: str, kind: Kind) -> bool:
        """Delete a record for good; False when there is none."""
        with self._database.transaction() as connection:
            return connection.execute("DELETE FROM records WHERE id = ? AND kind = ?", (record_id, kind)).rowcount == 1

    def delete_before(self, moment: int) -> int:
        """Delete the records that ended and were made before ``moment``, microseconds. Returns how many."""
        with self._database.transaction() as connection:
            return connection.execute(
                f"DELETE FROM records WHERE created_at < ? AND status IN {TERMINAL}", (moment,)
            ).rowcount


def _conditions(kind: Kind, filters: Filters) -> Sequence[Condition]:
    found = [Condition("kind = ?", (kind,)), Condition("sources_of IS NULL")]
    if filters.filename:
        found.append(prefix_condition(filters.filename))
    if filters.filename_contains:
        found.append(Condition("instr(folded_filename, ?) > 0", (filters.filename_contains.casefold(),)))
    if filters.extensions:
        marks = ", ".join("?" * len(filters.extensions))
        found.append(Condition(f"extension IN ({marks})", filters.extensions))
    if filters.status:
        found.append(Condition("status = ?", (filters.status,)))
    for key, value in (filters.metadata or {}).items():
        same = "EXISTS (SELECT 1 FROM json_each(records.metadata) AS pair WHERE pair.key = ? AND pair.value = ?)"
        found.append(Condition(same, (key, value)))
    return [*found, *between("created_at", filters.start, filters.end)]


def _may_have_sources(connection: sqlite3.Connection, extraction_id: str) -> bool:
    row = connection.execute(
        "SELECT 1 FROM records WHERE id = ? AND NOT EXISTS (SELECT 1 FROM records WHERE sources_of = ?)",
        (extraction_id, extraction_id),
    ).fetchone()
    return row is not None


def _record(connection: sqlite3.Connection, row: sqlite3.Row) -> Record:
    files = connection.execute(
        "SELECT file_id, filename FROM record_files WHERE record_id = ? ORDER BY position", (row["id"],)
    )
    return Record(
        id=row["id"],
        kind=row["kind"],
        status=row["status"],
        created_at=datetime.fromtimestamp(row["created_at"] / 1e6, UTC),
        body=json.loads(row["body"]),
        output=json.loads(row["output"]),
        request=json.loads(row["request"]),
        metadata=None if row["metadata"] is None else json.loads(row["metadata"]),
        files=tuple(RecordFile(file["file_id"], file["filename"]) for file in files),
        background=bool(row["background"]),
        attempts=row["attempts"],
        sources_of=row["sources_of"],
        updated_at=datetime.fromtimestamp(row["updated_at"] / 1e6, UTC),
    )


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6)


def now_microseconds() -> int:
    """The present in microseconds since the epoch."""
    return time.time_ns() // 1000
