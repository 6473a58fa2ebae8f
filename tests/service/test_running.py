"""The threads of the background queue stand back while someone waits, and so do the generations of their work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_service import DOCUMENT, SCHEMA, ScriptedService

from local_retab.documents import load
from local_retab.engine.engine import Engine
from local_retab.engine.sequence import Generation
from local_retab.service.running import Running
from local_retab.settings import Settings
from local_retab.storage import Record, Storage
from local_retab.wire import ExtractionParameters, now

WAIT_SECONDS = 20


class Interactive:
    """A run that someone waits for."""

    def cancel(self) -> None:
        raise AssertionError("nobody stops it")


class Work:
    """Background work: each record is in course until ``finish``."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self.begun: list[str] = []
        self._changed = threading.Condition()
        self._open = False

    def __call__(self, record: Record) -> None:
        self._running.add(record.id, self)
        with self._changed:
            self.begun.append(record.id)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._open, WAIT_SECONDS)
        self._running.remove(record.id)

    def cancel(self) -> None:
        self.finish()

    def finish(self) -> None:
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.begun) >= count, WAIT_SECONDS)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    storage = Storage(Settings(home=tmp_path, keep="none"))
    yield storage
    storage.close()


def queue_up(storage: Storage, names: str) -> None:
    for name in names:
        record = Record(name, "parse", "queued", now(), {}, None, background=True)
        storage.records.add(record, storage.owner.id)


def test_beside_interactive_work_one_thread_alone_begins_records(storage: Storage) -> None:
    running = Running(storage, threads=3)
    work, interactive = Work(running), Interactive()
    running.set_work({"parse": work})
    running.add("interactive", interactive)
    queue_up(storage, "abc")
    running.wake()
    work.wait_for(1)
    assert [running._may_begin(place) for place in range(3)] == [True, False, False]
    running.remove("interactive")
    work.wait_for(3)
    assert sorted(work.begun) == ["a", "b", "c"]
    # What runs in the background does not hold itself up.
    assert all(running._may_begin(place) for place in range(3))
    running.close()


def test_the_one_thread_goes_on_with_what_is_queued(storage: Storage) -> None:
    running = Running(storage, threads=2)
    work, interactive = Work(running), Interactive()
    work.finish()
    running.set_work({"parse": work})
    running.add("interactive", interactive)
    queue_up(storage, "abcd")
    running.wake()
    work.wait_for(4)
    assert work.begun == ["a", "b", "c", "d"]
    running.close()


@pytest.mark.parametrize("background", [False, True])
def test_its_generations_are_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, background: bool) -> None:
    submit, marks = Engine.submit, []

    def marked(self: Engine, *values: Any, **options: Any) -> Generation:
        marks.append(options["background"])
        return submit(self, *values, **options)

    monkeypatch.setattr(Engine, "submit", marked)
    service = ScriptedService(tmp_path)
    document = load(DOCUMENT, filename="a.txt", settings=service.settings)
    parameters = ExtractionParameters(json_schema=SCHEMA, background=background)
    if background:
        made = threading.Event()
        finish = service.extractions.finish
        monkeypatch.setattr(service.extractions, "finish", lambda found: [finish(found), made.set()][0])
        service.extractions.create_in_background(document, parameters)
        assert made.wait(WAIT_SECONDS)
    else:
        list(service.stream(document, parameters))
    service.close()
    assert marks == [background]
