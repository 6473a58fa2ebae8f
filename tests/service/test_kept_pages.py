"""A second extraction reads its document and plans its schema no more, until the document is deleted."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from multiprocessing import Pipe
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, cast

import pytest
from scripted_service import DOCUMENT, SCHEMA, ScriptedService

from local_retab.documents import Document, Page, kept, load, pages
from local_retab.schema import plan_schema
from local_retab.service.runner import LocalRunner
from local_retab.service.worker import WorkerRunner, _Worker
from local_retab.service.worker_process import _Worker as WorkerEnd
from local_retab.settings import Settings
from local_retab.wire import Extraction, ExtractionParameters


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the documents that were parsed."""
    found: list[str] = []

    def watched(document: Document, *, dpi: int, settings: Settings) -> Generator[Page, None, None]:
        found.append(document.id)
        yield from pages(document, dpi=dpi, settings=settings)

    monkeypatch.setattr(kept, "pages", watched)
    return found


def extract(service: ScriptedService, data: bytes = DOCUMENT, **fields: Any) -> Extraction:
    document = load(data, filename="a.txt", settings=service.settings)
    parameters = ExtractionParameters.model_validate({"json_schema": SCHEMA, "bust_cache": True} | fields)
    *_, last = service.stream(document, parameters)
    assert isinstance(last, Extraction)
    return last


def test_a_document_is_parsed_once(tmp_path: Path, parsed: list[str]) -> None:
    service = ScriptedService(tmp_path)
    first, second = extract(service), extract(service, instructions="Other instructions.")
    assert first.output == second.output
    assert parsed == [first.file.id]
    service.close()


@pytest.mark.parametrize("settings", [{"keep": "none"}, {"page_cache_bytes": 0}])
def test_where_nothing_is_kept_it_is_parsed_again(tmp_path: Path, parsed: list[str], settings: dict[str, Any]) -> None:
    service = ScriptedService(tmp_path, **settings)
    extract(service)
    extract(service)
    assert len(parsed) == 2
    service.close()


def delete_the_file(service: ScriptedService, result: Extraction) -> None:
    service.files.delete(result.file.id)


def delete_the_record(service: ScriptedService, result: Extraction) -> None:
    service.extractions.delete(result.id)


@pytest.mark.parametrize("delete", [delete_the_file, delete_the_record])
def test_what_is_deleted_is_parsed_again(
    tmp_path: Path, parsed: list[str], delete: Callable[[ScriptedService, Extraction], None]
) -> None:
    service = ScriptedService(tmp_path)
    result = extract(service)
    other = extract(service, b"Another document")
    delete(service, result)
    extract(service)
    extract(service, b"Another document")
    assert parsed == [result.file.id, other.file.id, result.file.id]
    service.close()


def test_a_schema_is_planned_once() -> None:
    settings = Settings()
    plan = plan_schema(SCHEMA, settings=settings)
    assert plan_schema(copy.deepcopy(SCHEMA), settings=settings) is plan
    assert plan_schema(SCHEMA, settings=settings, lines=["of one document"]) is not plan
    # The order of properties is that in which they are written.
    turned = {**SCHEMA, "properties": dict(reversed(SCHEMA["properties"].items()))}
    assert list(plan_schema(turned, settings=settings).original["properties"]) == ["lines", "total", "number"]
    nulls = plan_schema(SCHEMA, settings=settings, absent_null=True)
    assert nulls.held != plan.held
    longer = plan_schema(SCHEMA, settings=settings.model_copy(update={"max_string_chars": 5}))
    assert longer.grammar != plan.grammar


class Forgetful:
    """A runner that notes what it is to forget."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []

    def forget(self, document_id: str) -> None:
        self.forgotten.append(document_id)


def test_the_worker_process_hears_of_a_deletion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = Pipe()
    monkeypatch.setattr(WorkerRunner, "_spawn", lambda runner: None)
    runner = WorkerRunner(Settings(home=tmp_path))
    runner.forget("file_of_no_process")
    runner._worker = _Worker(cast(BaseProcess, None), ours)
    runner.forget("file_1")
    ours.close()
    runner.forget("file_of_a_process_that_is_gone")
    there = Forgetful()
    WorkerEnd(theirs, cast(LocalRunner, there)).serve()
    assert there.forgotten == ["file_1"]
