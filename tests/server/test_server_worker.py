"""The engine in a process of its own: the same results, and what happens when that process dies."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from multiprocessing import Pipe
from pathlib import Path

import httpx
import pytest
from scripted_server import ENDLESS, SCHEMA, TEXT, VALUE, body, open_engine, serving_on, settings_for, until

from local_retab.documents import load
from local_retab.errors import GenerationCancelledError, ModelNotFoundError, UnsupportedSchemaError, WorkerLostError
from local_retab.service import ExtractionService
from local_retab.service.runner import LocalRunner, RunRequest
from local_retab.service.worker import WorkerRun, WorkerRunner
from local_retab.service.worker_process import _Worker
from local_retab.wire import Extraction, ExtractionParameters, now


@pytest.fixture(scope="module")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExtractionService]:
    service = ExtractionService(settings_for(tmp_path_factory.mktemp("home")), open_engine, isolated=True)
    yield service
    service.close()


def worker_of(service: ExtractionService) -> int:
    """The process id of the worker that is there or is coming."""
    assert isinstance(service.runner, WorkerRunner)
    runner = service.runner
    seen: list[int] = []

    def there() -> bool:
        process_id = runner.process_id
        if process_id is not None:
            seen.append(process_id)
        return bool(seen)

    until(there)
    return seen[0]


def kill(service: ExtractionService) -> None:
    before = worker_of(service)
    os.kill(before, signal.SIGKILL)
    until(lambda: worker_of(service) != before)


def run_of(service: ExtractionService, text: str = TEXT, **fields: object):  # type: ignore[no-untyped-def]
    document = load(text.encode(), filename="a.txt", settings=service.settings)
    return service.stream(document, ExtractionParameters(json_schema=SCHEMA, bust_cache=True, **fields))  # type: ignore[arg-type]


def test_the_result_is_that_of_this_process(isolated: ExtractionService) -> None:
    service = isolated
    chunks = list(run_of(service, metadata={"a": "b"}))
    assert isinstance(chunks[-1], Extraction)
    assert (chunks[-1].output, chunks[-1].metadata) == (VALUE, {"a": "b"})
    assert len(chunks) > 2
    assert service.extractions.get(chunks[0].id) == chunks[-1]
    service.preload("retab-small")


def test_errors_come_through_as_what_they_are(isolated: ExtractionService) -> None:
    with pytest.raises(ModelNotFoundError, match="nothing"):
        isolated.preload("nothing")
    document = load(b"x", filename="a.txt", settings=isolated.settings)
    refused = ExtractionParameters(json_schema={"type": "string", "pattern": "(?<"})
    request = RunRequest("extr_1", now(), document, refused)
    with pytest.raises(UnsupportedSchemaError) as caught:
        isolated.runner.start(request)
    assert caught.value.details["problems"]


def test_cancelling_and_closing(isolated: ExtractionService) -> None:
    run = run_of(isolated, ENDLESS)
    record_id = next(run).id
    run.cancel()
    with pytest.raises(GenerationCancelledError):
        list(run)
    assert isolated.extractions.get(record_id).status == "cancelled"
    run = run_of(isolated, ENDLESS)
    record_id = next(run).id
    run.close()
    run.close()
    assert isolated.extractions.get(record_id).status == "cancelled"


def test_a_cancel_that_comes_after_the_end_is_not_sent(isolated: ExtractionService) -> None:
    document = load(TEXT.encode(), filename="a.txt", settings=isolated.settings)
    request = RunRequest("extr_1", now(), document, ExtractionParameters(json_schema=SCHEMA))
    run = isolated.runner.start(request)
    list(run)
    assert isinstance(run, WorkerRun)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_worker", None)
        run.cancel()


def test_a_cancel_that_comes_after_the_end_is_forgotten(tmp_path: Path) -> None:
    ours, theirs = Pipe()
    worker = _Worker(theirs, LocalRunner(settings_for(tmp_path), open_engine))
    ours.send_bytes(json.dumps({"do": "cancel", "number": 7}).encode())
    ours.close()
    worker.serve()
    theirs.close()
    assert worker._cancelled == set()


def test_a_killed_worker_is_replaced(isolated: ExtractionService) -> None:
    run = run_of(isolated, ENDLESS)
    record_id = next(run).id
    kill(isolated)
    with pytest.raises(WorkerLostError, match="Send the request again"):
        list(run)
    record = isolated.extractions.get(record_id)
    assert record.error is not None
    assert (record.status, record.error.code) == ("failed", "ENGINE_RESTARTED")
    assert list(run_of(isolated))[-1].output == VALUE


def test_a_background_request_is_run_once_more(isolated: ExtractionService) -> None:
    document = load(ENDLESS.encode(), filename="a.txt", settings=isolated.settings)
    parameters = ExtractionParameters(json_schema=SCHEMA, bust_cache=True, background=True)
    extractions = isolated.extractions
    record_id = extractions.create_in_background(document, parameters).id
    for attempt in (1, 2):
        until(lambda: extractions.record(record_id).attempts == attempt)  # noqa: B023
        until(lambda: isolated._parts.running._runs.get(record_id) is not None)
        kill(isolated)
    until(lambda: extractions.get(record_id).status == "failed")
    error = extractions.get(record_id).error
    assert error is not None
    assert error.code == "ENGINE_RESTARTED"


def test_the_server_answers_on(isolated: ExtractionService) -> None:
    with serving_on(isolated) as address, httpx.Client(base_url=address, headers={"Api-Key": "x"}) as client:
        with client.stream("POST", "/v1/extractions/stream", json=body(ENDLESS), timeout=30) as answer:
            lines = (json.loads(line) for line in answer.iter_lines() if line)
            next(lines)
            kill(isolated)
            *_, last = lines
        assert last["streaming_error"]["code"] == "ENGINE_RESTARTED"
        answer = client.post("/v1/extractions", json=body(bust_cache=True), timeout=30)
        assert (answer.status_code, answer.json()["output"]) == (201, VALUE)


def test_a_closed_service_has_no_worker(tmp_path: Path) -> None:
    service = ExtractionService(settings_for(tmp_path), open_engine, isolated=True)
    worker = worker_of(service)
    service.close()
    service.close()
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
