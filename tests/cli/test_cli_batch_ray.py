"""A batch on a Ray cluster of two workers: the records of an embedded run, also when a worker is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from scripted_cli import VALUE, Inputs, Result, scripted_service

from local_retab.batch import Journal, Plan, run_batch, run_on_ray
from local_retab.client import Retab
from local_retab.errors import ModelError, RequestError
from local_retab.settings import Settings

Run = Callable[..., Result]


def open_client(settings: Settings, deadly: Path | None = None) -> Retab:
    """A client that answers at once; ``deadly`` is made by the first that reads the document 5, which dies of it."""
    client = Retab(transport=scripted_service()(settings))
    if deadly is None:
        return client
    extractions: Any = client.extractions
    create = extractions.create_stream

    def watched(document: str, *arguments: Any, **fields: Any) -> Any:
        if document.endswith("05.txt"):
            try:
                deadly.touch(exist_ok=False)
            except FileExistsError:
                return create(document, *arguments, **fields)
            os.kill(os.getpid(), signal.SIGKILL)
        return create(document, *arguments, **fields)

    extractions.create_stream = watched
    return client


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """A local cluster with room for two workers, which find what the tests are made of."""
    pytest.importorskip("ray.data")
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(here), str(here.parent), *sys.path]))
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 2}')
    monkeypatch.setenv("RAY_worker_niceness", "0")  # 15 by default, which starves beside other tests
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def folder(inputs: Inputs) -> Path:
    folder = inputs.folder / "many"
    folder.mkdir()
    for index in range(12):
        (folder / f"{index:02}.txt").write_text(f"Invoice {index}")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    return folder


def records(path: Path) -> dict[str, Any]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    found = {line["document"]: (line["status"], line["output"], line["error"], line["file"]) for line in lines}
    assert len(found) == len(lines)
    return found


@pytest.mark.filterwarnings("ignore")  # Ray's own
@pytest.mark.usefixtures("ray")
def test_a_worker_that_is_killed_loses_nothing_and_the_records_are_those_of_an_embedded_run(
    inputs: Inputs, folder: Path
) -> None:
    settings = Settings(home=inputs.folder / "home", document_isolation="none")
    plan = Plan.make([str(folder)], inputs.schema, settings=settings, fields={"model": str(inputs.model)})
    embedded, spread = inputs.folder / "embedded.jsonl", inputs.folder / "ray.jsonl"
    with Journal.open(embedded, plan) as journal, open_client(settings) as client:
        run_batch(plan, journal, client)
    deadly = inputs.folder / "killed"
    with Journal.open(spread, plan) as journal:
        run_on_ray(plan, journal, partial(open_client, settings, deadly), jobs=2)
    assert deadly.exists()
    assert records(spread) == records(embedded)
    assert sum(status == "completed" for status, *_ in records(spread).values()) == 12
    kept = spread.read_text().splitlines(keepends=True)[:4]
    spread.write_text("".join(kept))
    with Journal.open(spread, plan) as journal:  # what is done is not done again
        run_on_ray(plan, journal, partial(open_client, settings), jobs=2)
    assert records(spread) == records(embedded)
    assert spread.read_text().startswith("".join(kept))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("ray")
def test_what_concerns_all_documents_ends_the_batch(inputs: Inputs, folder: Path) -> None:
    settings = Settings(home=inputs.folder / "home")
    plan = Plan.make([str(folder)], inputs.schema, settings=settings, fields={"model": "no-such-model"})
    out = inputs.folder / "ray.jsonl"
    with Journal.open(out, plan) as journal, pytest.raises(ModelError):
        run_on_ray(plan, journal, partial(open_client, settings))
    assert out.read_bytes() == b""
    with Journal.open(out, plan) as journal, pytest.raises(RequestError, match="processors"):
        run_on_ray(plan, journal, partial(open_client, settings), jobs=64)


def test_without_ray_the_option_says_what_to_install(
    run: Run, inputs: Inputs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    arguments = ["batch", str(folder), "--schema", str(inputs.schema), "--model", str(inputs.model)]
    result = run(*arguments, "--out", inputs.folder / "a.jsonl", "--engine", "ray")
    assert result.code == 2
    assert "local-retab[ray]" in result.err
    result = run(*arguments, "--out", inputs.folder / "a.jsonl", "--engine", "spark")
    assert (result.code, "--engine spark" in result.err) == (2, True)
    assert VALUE
