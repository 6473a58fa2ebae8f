"""What is kept: migrations, one end for each record, deletion from disk, retention, and what dead processes leave."""

from __future__ import annotations

import gc
import multiprocessing
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local_retab.errors import ConflictError, StorageError
from local_retab.settings import Settings
from local_retab.storage import Database, Filters, Record, RecordFile, Storage, Window, database_path
from local_retab.storage.migrations import MIGRATIONS
from local_retab.storage.queue import MAX_ATTEMPTS
from local_retab.wire import now

SECRET = "unmistakable-content-of-a-document"


def opened(home: Path, **settings: Any) -> Storage:
    return Storage(Settings(home=home, **settings))


def record(name: str, *, background: bool = False, **fields: Any) -> Record:
    status = "queued" if background else "in_progress"
    values: dict[str, Any] = {"status": status, "body": {"id": name}, "output": {}, **fields}
    return Record(id=name, kind="extraction", created_at=now(), background=background, **values)


def leave(home: Path, names: dict[str, bool], claim: int) -> None:
    """Run in another process, which dies without a word: records by name, whether in the background; some claimed."""
    import os

    storage = opened(home)
    for name, background in names.items():
        storage.records.add(record(name, background=background), storage.owner.id)
    for _ in range(claim):
        storage.queue.claim()
    os._exit(9)


def in_a_process_that_dies(work: Callable[..., None], *arguments: Any) -> None:
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 9


def test_a_new_database_is_whole(tmp_path: Path) -> None:
    storage = opened(tmp_path)
    assert storage.database.check() == []
    with storage.database.reading() as connection:
        assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("SELECT count(*) FROM migrations").fetchone()[0] == len(MIGRATIONS)
    assert database_path(tmp_path).stat().st_mode & 0o077 == 0
    storage.close()
    storage.close()


def test_a_migration_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = (("broken", ("CREATE TABLE half (x)", "CREATE NONSENSE")),)
    monkeypatch.setattr("local_retab.storage.database.MIGRATIONS", broken)
    with pytest.raises(StorageError, match="NONSENSE"):
        Database(tmp_path / "a.sqlite3")
    monkeypatch.undo()
    database = Database(tmp_path / "a.sqlite3")
    with database.reading() as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'half'").fetchone() is None
    database.close()


def test_a_database_of_the_first_version_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_retab.storage.database.MIGRATIONS", MIGRATIONS[:1])
    database = Database(database_path(tmp_path))
    with database.transaction() as connection:
        connection.execute(
            "INSERT INTO records (id, kind, status, created_at, updated_at, filename, folded_filename, extension, "
            "request, body, output, background, owner, attempts) "
            "VALUES ('old', 'extraction', 'completed', 1, 1, 'a', 'a', '', '{}', '{}', '{}', 0, '', 1)"
        )
        connection.execute("INSERT INTO idempotency_keys VALUES ('key', 'hash', 'old', 1)")
    database.close()
    monkeypatch.undo()
    storage = opened(tmp_path)
    found = storage.records.get("old", "extraction")
    assert found is not None
    assert (found.status, found.sources_of) == ("completed", None)
    assert storage.database.check() == []
    storage.close()


def test_a_search_for_sources_is_the_only_one_and_goes_with_its_extraction(tmp_path: Path) -> None:
    storage = opened(tmp_path)
    mine = storage.owner.id
    assert storage.records.add(record("made"), mine)
    assert storage.records.add(record("search", background=True, sources_of="made"), mine)
    assert not storage.records.add(record("another", background=True, sources_of="made"), mine)
    assert not storage.records.add(record("orphan", background=True, sources_of="gone"), mine)
    found = storage.records.with_sources_of("made")
    assert found is not None
    assert found.id == "search"
    assert [item.id for item in storage.records.page("extraction", Filters(), Window()).items] == ["made"]
    claimed = storage.queue.claim()
    assert claimed is not None
    assert claimed.id == "search"
    assert storage.delete_record("made", "extraction")
    assert storage.records.with_sources_of("made") is None
    assert storage.records.status("search") is None
    assert not storage.records.finish("search", "completed", {}, {}, owner=mine)
    storage.close()


def test_a_database_of_a_later_version_is_refused(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.sqlite3")
    with database.transaction() as connection:
        connection.execute("INSERT INTO migrations VALUES (99, 'later', 0)")
    database.close()
    with pytest.raises(StorageError, match="later version"):
        Database(tmp_path / "a.sqlite3")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    database_path(tmp_path).write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(StorageError, match="cannot be used"):
        opened(tmp_path)


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    storage = opened(tmp_path)
    storage.records.add(record("extr_1"), storage.owner.id)
    with pytest.raises(StorageError, match="UNIQUE"):
        storage.records.add(record("extr_1", files=(RecordFile(None, "x"),)), storage.owner.id)
    with storage.database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM record_files").fetchone()[0] == 0
    storage.close()


def test_a_record_ends_once(tmp_path: Path) -> None:
    storage = opened(tmp_path)
    storage.records.add(record("extr_1"), storage.owner.id)
    assert not storage.records.finish("extr_1", "completed", {}, {}, owner="somebody else")
    assert storage.records.finish("extr_1", "cancelled", {}, {}, owner=None)
    assert not storage.records.finish("extr_1", "completed", {}, {"late": 1}, owner=storage.owner.id)
    found = storage.records.get("extr_1", "extraction")
    assert found is not None
    assert (found.status, found.output) == ("cancelled", {})
    assert storage.records.get("extr_1", "parse") is None
    storage.close()


@pytest.mark.parametrize("descending", [True, False])
def test_pages_forwards_and_backwards(tmp_path: Path, descending: bool) -> None:
    storage = opened(tmp_path)
    names = [f"extr_{place}" for place in range(7)]
    for name in names:
        storage.records.add(record(name), storage.owner.id)
    wanted = names[::-1] if descending else names
    seen: list[str] = []
    after = None
    firsts: list[str] = []
    while True:
        page = storage.records.page("extraction", Filters(), Window(after=after, limit=3, descending=descending))
        seen += [item.id for item in page.items]
        firsts.append(page.items[0].id)
        assert page.before == (None if len(firsts) == 1 else firsts[-1])
        after = page.after
        if after is None:
            break
    assert seen == wanted
    back = storage.records.page("extraction", Filters(), Window(before=firsts[-1], limit=3, descending=descending))
    assert [item.id for item in back.items] == wanted[3:6]
    assert (back.before, back.after) == (wanted[3], wanted[5])
    storage.close()


def test_deleted_means_gone_from_disk(tmp_path: Path) -> None:
    storage = opened(tmp_path)
    data = SECRET.encode()
    storage.files.add("file_1", f"{SECRET}.txt", "text/plain", data)
    mine = record("extr_1", files=(RecordFile("file_1", f"{SECRET}.txt"),), output={"text": SECRET})
    storage.records.add(mine, storage.owner.id)
    storage.records.finish("extr_1", "completed", {"note": SECRET}, {"text": SECRET}, owner=None)
    file = storage.files.get("file_1")
    assert file is not None
    storage.cache.put("key", file.sha256 or "", f'"{SECRET}"')
    assert traces(tmp_path)
    assert storage.delete_record("extr_1", "extraction")
    assert traces(tmp_path) == []
    assert (storage.files.get("file_1"), storage.cache.get("key")) == (None, None)
    assert not storage.delete_record("extr_1", "extraction")
    storage.close()


def traces(folder: Path) -> list[str]:
    """The files that have the secret in them."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in paths if SECRET.encode() in path.read_bytes() or SECRET in path.name]


def test_an_uploaded_file_outlives_the_records_that_name_it(tmp_path: Path) -> None:
    storage = opened(tmp_path)
    storage.files.add("file_1", "a.txt", "text/plain", b"a", uploaded=True)
    storage.records.add(record("extr_1", files=(RecordFile("file_1", "a.txt"),)), storage.owner.id)
    assert storage.files.in_use("file_1")
    storage.delete_record("extr_1", "extraction")
    assert storage.files.get("file_1") is not None
    assert not storage.files.in_use("file_1")
    assert storage.delete_file("file_1")
    assert list((tmp_path / "files").iterdir()) == []
    storage.close()


def test_keep_none_writes_nothing(tmp_path: Path) -> None:
    storage = opened(tmp_path, keep="none")
    storage.files.add("file_1", "a.txt", "text/plain", b"a")
    storage.records.add(record("extr_1", files=(RecordFile("file_1", "a.txt"),)), storage.owner.id)
    storage.cache.put("key", "x", "y")
    assert storage.cache.get("key") is None
    storage.close()
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_nobody_closes_is_closed_when_it_is_forgotten(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.sqlite3")
    with database.reading() as connection:
        pass
    connection.execute("SELECT 1")
    del database
    gc.collect()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_keep_days_deletes_what_is_older(tmp_path: Path) -> None:
    storage = opened(tmp_path, keep_days=1e-12)
    storage.records.add(record("extr_open"), storage.owner.id)
    storage.records.add(record("extr_ended"), storage.owner.id)
    storage.records.finish("extr_ended", "completed", {}, {}, owner=None)
    storage.cache.put("key", "x", "y")
    storage.prune()
    assert storage.records.get("extr_ended", "extraction") is None
    assert storage.records.get("extr_open", "extraction") is not None
    assert storage.cache.get("key") is None
    storage.close()


def test_the_cache_drops_the_oldest(tmp_path: Path) -> None:
    storage = opened(tmp_path, max_cache_bytes=10)
    for place in range(4):
        storage.cache.put(str(place), "x", "12345")
    assert [storage.cache.get(str(place)) for place in range(4)] == [None, None, "12345", "12345"]
    storage.cache.put("large", "x", "1" * 11)
    assert storage.cache.get("large") is None
    storage.close()


def test_idempotency_keys(tmp_path: Path) -> None:
    storage = opened(tmp_path)
    for name in ("extr_1", "extr_2"):
        storage.records.add(record(name), storage.owner.id)
    assert storage.keys.find("key", "hash") is None
    assert storage.keys.remember("key", "hash", "extr_1", instead_of=None)
    assert not storage.keys.remember("key", "hash", "extr_2", instead_of=None)
    assert storage.keys.find("key", "hash") == "extr_1"
    with pytest.raises(ConflictError):
        storage.keys.find("key", "other")
    assert storage.keys.remember("key", "hash", "extr_2", instead_of="extr_1")
    storage.delete_record("extr_2", "extraction")
    assert storage.keys.find("key", "hash") is None
    storage.close()


def test_the_queue_is_in_order_and_each_is_claimed_once(tmp_path: Path) -> None:
    storage, other = opened(tmp_path), opened(tmp_path)
    for place in range(3):
        storage.records.add(record(f"extr_{place}", background=True), storage.owner.id)
    assert storage.queue.waiting() == 3
    # Another live process does not take what is not its own.
    assert (other.queue.adopt(), other.queue.claim()) == (0, None)
    claimed = [storage.queue.claim() for _ in range(4)]
    assert [item.id if item else None for item in claimed] == ["extr_0", "extr_1", "extr_2", None]
    storage.queue.release("extr_1", counted=False)
    again = other.queue.claim()
    assert again is not None
    assert (again.id, again.attempts) == ("extr_1", 1)
    storage.close()
    other.close()


def test_what_a_dead_process_left_is_taken_over(tmp_path: Path) -> None:
    in_a_process_that_dies(leave, tmp_path, {"extr_a": True, "extr_b": True, "extr_c": False}, 1)
    storage = opened(tmp_path)
    assert storage.queue.claim() is None
    assert storage.queue.adopt() == 3
    assert storage.queue.adopt() == 0
    # The foreground request had a reader, who is gone.
    lost = storage.records.get("extr_c", "extraction")
    assert lost is not None
    assert (lost.status, lost.body["error"]["code"]) == ("failed", "INTERRUPTED")
    claimed = [storage.queue.claim() for _ in range(3)]
    assert [(item.id, item.attempts) if item else None for item in claimed] == [("extr_a", 2), ("extr_b", 1), None]
    storage.close()


def test_a_record_that_outlived_two_processes_fails(tmp_path: Path) -> None:
    in_a_process_that_dies(leave, tmp_path, {"extr_a": True}, 1)
    for _ in range(MAX_ATTEMPTS - 1):
        in_a_process_that_dies(take_over, tmp_path)
    storage = opened(tmp_path)
    assert storage.queue.adopt() == 1
    found = storage.records.get("extr_a", "extraction")
    assert found is not None
    assert (found.status, found.body["error"]["code"], found.attempts) == ("failed", "INTERRUPTED", MAX_ATTEMPTS)
    assert storage.database.check() == []
    storage.close()


def take_over(home: Path) -> None:
    import os

    storage = opened(home)
    storage.queue.adopt()
    assert storage.queue.claim() is not None
    os._exit(9)


def test_another_process_sees_the_tables_as_they_are(tmp_path: Path) -> None:
    storage = opened(tmp_path)
    storage.records.add(record("extr_1"), storage.owner.id)
    with sqlite3.connect(database_path(tmp_path)) as connection:
        assert connection.execute("SELECT id FROM records").fetchall() == [("extr_1",)]
    connection.close()
    storage.close()
