"""The run of a batch on a Ray cluster: actors that hold one model each, scheduled by Ray Data.

The journal is this process's, so that a batch goes on as any other does, with either engine. An actor that dies is
started again by Ray, and its documents come again; a document has its record once, when it is in the journal.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from local_retab.batch.record import Record
from local_retab.batch.run import Worker
from local_retab.errors import EngineError, LocalRetabError, RequestError, error_named

if TYPE_CHECKING:
    from local_retab.batch.journal import Journal
    from local_retab.batch.plan import Plan
    from local_retab.client import Retab

MAX_BLOCKS = 10_000
"""Ray Data hands out documents in blocks, and takes a block as done as a whole: one document each, up to this."""


def run_on_ray(
    plan: Plan,
    journal: Journal,
    open_client: Callable[[], Retab],
    *,
    jobs: int = 1,
    advance: Callable[[Record], None] = lambda record: None,
) -> None:
    """As ``run_batch``, by ``jobs`` actors of the cluster that RAY_ADDRESS names, of a local one where it names none.

    ``open_client`` is called once in each actor, and has to be importable there or pickled by value. Relative paths
    are made absolute: nodes need the same files. Raises RequestError where Ray is not installed or the cluster has
    fewer processors than ``jobs``, and EngineError where Ray fails.
    """
    missing = journal.missing(plan)
    if not missing:
        return
    with _connected(jobs) as ray:
        from ray.exceptions import RayError

        try:
            for row in _rows(ray, plan, missing, open_client, jobs):
                _raise_failure(row["failure"])
                record = Record.model_validate_json(row["record"])
                if record.document not in journal.done:
                    journal.append(record)
                    advance(record)
        except RayError as error:
            raise EngineError(
                f"The Ray cluster failed: {str(error).strip().splitlines()[0]}. The batch goes on where it was, when it"
                " is run again."
            ) from error


class Extractor:
    """What an actor runs: one client, with the model that it loads for its first document."""

    def __init__(self, plan: Plan, open_client: Callable[[], Retab]) -> None:
        self._worker = Worker(plan, open_client())

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            record = self._worker.extract(row["document"], path=row["path"])
        except LocalRetabError as error:  # it concerns all documents, and ends the batch
            failure = {"type": type(error).__name__, "message": error.message, "details": error.details}
            return {"record": "", "failure": json.dumps(failure)}
        return {"record": record.line().decode(), "failure": ""}


def _rows(
    ray: Any, plan: Plan, missing: list[str], open_client: Callable[[], Retab], jobs: int
) -> Iterator[dict[str, Any]]:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    items = [{"document": document, "path": os.path.abspath(document)} for document in missing]
    documents = ray.data.from_items(items, override_num_blocks=min(len(items), MAX_BLOCKS))
    records = documents.map(Extractor, fn_constructor_args=(plan, open_client), concurrency=jobs, num_cpus=1)
    rows: Iterator[dict[str, Any]] = records.iter_rows()
    return rows


def _raise_failure(text: str) -> None:
    if text:
        failure = json.loads(text)
        raise error_named(failure["type"])(failure["message"], details=failure["details"])


@contextmanager
def _connected(jobs: int) -> Iterator[Any]:
    """Ray, connected for as long as this lasts."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise RequestError(
            "--engine ray: Ray is not installed. Run `pip install 'local-retab[ray]'`, or leave the option out."
        ) from error
    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise EngineError(f"Ray cannot be reached or started: {error}. Check RAY_ADDRESS and `ray status`.") from error
    try:
        processors = int(ray.cluster_resources().get("CPU", 0))
        if processors < jobs:
            raise RequestError(f"--jobs {jobs}: the Ray cluster has {processors} processors. Ask for fewer.")
        yield ray
    finally:
        ray.shutdown()
