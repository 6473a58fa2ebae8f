"""Curves: how time grows with items written, properties of a schema, pages, requests at once, and votes.

What is our own is measured with a model that is none (bench_scripted.py) over a vocabulary of 152,000 tokens, in CPU
time of the process: nobody waits hours for 2,000 items, and what else the machine does is not counted. The others are
wall clock with a real, small model, whose answers a schema holds to one length.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench_scripted import ScriptedModel
from curves_svg import Curve
from panels_svg import draw
from statements import SCHEMA, make_statement

from local_retab import Retab, Settings
from local_retab.engine.engine import Engine
from local_retab.engine.llama import LlamaBackend
from local_retab.service import ExtractionService

ITEMS = 2000
WINDOWS = 8
PROPERTIES = (10, 30, 100, 300, 1000)
REAL_ITEMS = 100
PAGES = (1, 2, 4, 8)
REQUESTS = (1, 2, 4)
VOTES = (1, 2, 3, 5)
ROWS_A_PAGE = 10
SCRIPTED_CONTEXT = 1_000_000


@dataclass(frozen=True, slots=True)
class Mark:
    """When a snapshot came, and how many items it had."""

    seconds: float
    items: int


def measure(folder: Path, model: str, vocabulary: Path, *, say: Callable[[str], None]) -> dict[str, Any]:
    """All curves; ``scaling.json`` and ``scaling.svg`` in ``folder``. ``vocabulary``: a GGUF file to take it from."""
    folder.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"model": model, "vocabulary": vocabulary.stem, "curves": []}
    curves: list[Curve] = []

    def add(curve: Curve) -> None:
        """Written one by one: a run that is cut leaves what it has measured."""
        curves.append(curve)
        report["curves"].append(asdict(curve))
        (folder / "scaling.json").write_text(json.dumps(report, indent=1) + "\n")
        (folder / "scaling.svg").write_text(draw(curves))
        say(f"{curve.title}: " + ", ".join(f"{x:g}: {y:.4g}" for x, y in curve.points))

    for own in (own_items, own_properties):
        add(own(vocabulary))
    with real_client() as client:
        follow(client, b"Nothing yet.", rows_schema(1, "reference"), model)  # loads the model
        for real in (real_items, pages, requests, votes):
            add(real(client, model))
    return report


def own_items(vocabulary: Path) -> Curve:
    """Of one array of 2,000 items: what each takes, by how many are there already."""
    statement = make_statement(ITEMS, pages=max(ITEMS // 30, 1))
    with scripted_client(vocabulary, json.dumps(statement.value, separators=(",", ":"))) as (client, model):
        marks, result = follow(client, statement.pdf, SCHEMA, model, clock=time.process_time)
    if result.output != statement.value:
        raise SystemExit("bench: the scripted answer did not come back as it was")
    points = [(at, 1000 * seconds) for at, seconds in per_item(marks, ITEMS, WINDOWS)]
    return Curve("Our own time for each item of an array", "items written", "CPU ms an item", points)


def own_properties(vocabulary: Path) -> Curve:
    """Of a whole request, by the properties of its schema: planning, grammar, prompt, and as many nulls."""
    points = []
    for count in PROPERTIES:
        names = [f"field_{number}" for number in range(count)]
        schema = {"type": "object", "properties": {name: {"type": ["string", "null"]} for name in names}}
        answer = json.dumps(dict.fromkeys(names), separators=(",", ":"))
        with scripted_client(vocabulary, answer) as (client, model):
            began = time.process_time()
            follow(client, b"An empty form.", {**schema, "required": names}, model)
            points.append((count, time.process_time() - began))
    return Curve("Our own time by the size of the schema", "properties", "CPU s", points)


def real_items(client: Retab, model: str) -> Curve:
    """What each of some hundred items takes; attention to what is written makes the later ones slower."""
    schema = rows_schema(REAL_ITEMS, "date", "reference")
    marks, _ = follow(client, make_statement(ROWS_A_PAGE, 1).pdf, schema, model)
    points = [(at, 1000 * seconds) for at, seconds in per_item(marks, REAL_ITEMS, WINDOWS)]
    return Curve(f"Each item of an array, {model}", "items written", "ms an item", points)


def pages(client: Retab, model: str) -> Curve:
    """A short answer about more and more pages."""
    schema = {"type": "object", "properties": {"closing_balance": {"type": "number"}}, "required": ["closing_balance"]}
    points = []
    for count in PAGES:
        pdf = make_statement(count * ROWS_A_PAGE, count, seed=count).pdf
        points.append((count, timed(lambda: follow(client, pdf, schema, model))))  # noqa: B023
    return Curve(f"Pages, {model}", "pages", "s", points)


def requests(client: Retab, model: str) -> Curve:
    """So many requests at once, each for five rows of a page of its own, until the last has ended."""
    schema = rows_schema(5, "date", "reference")
    points = []
    for count in REQUESTS:
        pdfs = [make_statement(ROWS_A_PAGE, 1, seed=100 * count + number).pdf for number in range(count)]
        with ThreadPoolExecutor(count) as pool:
            seconds = timed(lambda: list(pool.map(lambda pdf: follow(client, pdf, schema, model), pdfs)))  # noqa: B023
        points.append((count, seconds))
    return Curve(f"Requests at once, {model}", "requests", "s", points)


def votes(client: Retab, model: str) -> Curve:
    """One request with so many votes."""
    schema = rows_schema(5, "date", "reference")
    points = []
    for count in VOTES:
        pdf = make_statement(ROWS_A_PAGE, 1, seed=1000 + count).pdf
        points.append((count, timed(lambda: follow(client, pdf, schema, model, n_consensus=count))))  # noqa: B023
    return Curve(f"Votes, {model}", "n_consensus", "s", points)


def rows_schema(count: int, *names: str) -> dict[str, Any]:
    """The statement's schema with ``count`` transactions of these fields, and nothing else."""
    transactions = SCHEMA["properties"]["transactions"]
    properties = {name: transactions["items"]["properties"][name] for name in names}
    items = {**transactions["items"], "properties": properties, "required": list(names)}
    array = {**transactions, "items": items, "minItems": count, "maxItems": count}
    return {"type": "object", "properties": {"transactions": array}, "required": ["transactions"]}


def follow(
    client: Retab,
    document: bytes,
    schema: dict[str, Any],
    model: str,
    *,
    n_consensus: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[list[Mark], Any]:
    """One extraction to its end: when snapshots came, from the first one on, and the extraction."""
    stream = client.extractions.create_stream(document, schema, model=model, n_consensus=n_consensus, bust_cache=True)
    marks = [Mark(clock(), len(chunk.output.get("transactions") or [])) for chunk in stream]
    return marks, stream.final()


def timed(work: Callable[[], object]) -> float:
    """The seconds that ``work`` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def per_item(marks: Sequence[Mark], count: int, windows: int) -> list[tuple[float, float]]:
    """(items in the middle of a window, seconds for each of its items), for equal windows of ``count`` items."""
    edges = [next(mark for mark in marks if mark.items >= count * part // windows) for part in range(windows + 1)]
    return [
        ((begin.items + end.items) / 2, (end.seconds - begin.seconds) / (end.items - begin.items))
        for begin, end in pairwise(edges)
        if end.items > begin.items
    ]


@contextmanager
def real_client() -> Iterator[Retab]:
    """Over the installed models, with nothing kept."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "models").symlink_to(Settings.from_environment().home / "models")
        settings = Settings.from_environment(home=Path(folder), keep="none", prefix_cache_bytes=0)
        with Retab(transport=ExtractionService(settings)) as client:
            yield client


@contextmanager
def scripted_client(vocabulary: Path, answer: str) -> Iterator[tuple[Retab, str]]:
    """A client, and the name of a model that gives ``answer``, which is loaded."""

    def open_engine(_model: object) -> Engine:
        backend = LlamaBackend(vocabulary, context_tokens=256, batch_tokens=128, sequences=4, threads=1)
        model = ScriptedModel(backend, answer, context_tokens=SCRIPTED_CONTEXT)
        return Engine(model, max_sequences=2, prefill_chunk=128)

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_environment(
            home=Path(folder),
            keep="none",
            max_output_tokens=SCRIPTED_CONTEXT,
            max_generation_seconds=24 * 3600.0,
        )
        service = ExtractionService(settings, open_engine)
        service.preload(str(vocabulary))
        with Retab(transport=service) as client:
            yield client, str(vocabulary)
