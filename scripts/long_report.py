"""What long documents must show: memory by page count, and every row of a statement by a real model."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from statements import SCHEMA, make_statement

from local_retab import Retab, Settings
from local_retab.documents import load
from local_retab.extraction.chunking.planning import plan_reading
from local_retab.extraction.pipeline import read
from local_retab.extraction.seeing import Sight
from local_retab.extraction.task import Stop, Task
from local_retab.schema import load_schema, plan_schema
from local_retab.service import ExtractionService
from local_retab.service.runner import LocalRunner
from local_retab.wire import Extraction, ExtractionParameters, now

STARTER = "qwen2.5-coder-1.5b-instruct"
ROWS_A_PAGE = 30
MIB = 1024 * 1024

MOST_SHOWN = 40
"""Wrong fields."""

app = typer.Typer(help=__doc__, no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on the last line")]


def settings_for(pages: int, **chosen: Any) -> Settings:
    """Settings that admit so many pages and the time to read them."""
    return Settings.from_environment(max_pages=max(pages, 200), max_document_seconds=300.0, **chosen)


@app.command()
def memory(
    pages: Annotated[list[int] | None, typer.Argument(help="Page counts; 10, 40, 150 and 500 without")] = None,
    model: Annotated[str, typer.Option(help="Installed model, whose tokenizer plans")] = STARTER,
    as_json: AsJson = False,
) -> None:
    """Memory of a process that reads and plans a statement, by its pages. Each count runs in a fresh process."""
    counts = pages or [10, 40, 150, 500]
    found = []
    columns = ("pages", "before", "read", "planned", "peak", "parts", "seconds")
    print("MiB resident with the model loaded: before, after reading, after planning, at most")
    print(" ".join(f"{name:>8}" for name in columns))
    for count in counts:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            row = pool.apply(measure, (count, model))
        found.append(row)
        print(" ".join(f"{row[name]:>8}" for name in columns), flush=True)
    if as_json:
        print(json.dumps(found))


def measure(pages: int, model: str) -> dict[str, Any]:
    """MiB resident with the model loaded, and after each step with a statement of ``pages`` pages."""
    pdf = make_statement(pages * ROWS_A_PAGE, pages).pdf
    settings = settings_for(pages, keep="none")
    runner = LocalRunner(settings)
    runner.preload(model)
    parameters = ExtractionParameters(json_schema=SCHEMA, model=model, deep_extraction=True)
    before = resident()
    began = time.monotonic()
    document = load(pdf, filename="statement.pdf", settings=settings)
    plan = plan_schema(load_schema(SCHEMA, settings=settings), settings=settings)
    task = Task("extr_memory", now(), document, parameters, plan, settings, Stop())
    sight = Sight(images=False, text=True)
    read_pages = read(task, sight)
    after_reading = resident()
    with runner._engines.lease(runner._store.resolve(model, settings)) as engine:
        planned = plan_reading(task, engine, sight, read_pages)
    after_planning = resident()
    seconds = round(time.monotonic() - began, 1)
    runner.close()
    return {
        "pages": pages,
        "before": before,
        "read": after_reading,
        "planned": after_planning,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "parts": len(planned.windows),
        "seconds": seconds,
    }


def resident() -> int:
    """MiB resident in this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // MIB


@app.command()
def extract(
    rows: Annotated[int, typer.Option(help="Rows of the statement")] = 60,
    pages: Annotated[int, typer.Option(help="Pages of the statement")] = 3,
    context: Annotated[int, typer.Option(help="Tokens of context")] = 4096,
    way: Annotated[str, typer.Option(help="plain, deep (deep_extraction) or keys (chunking_keys)")] = "deep",
    model: Annotated[str, typer.Option(help="Installed model")] = STARTER,
    as_json: AsJson = False,
) -> None:
    """Extract a statement with a real model and compare every row with what is printed."""
    statement = make_statement(rows, pages)
    asked: dict[str, Any] = {
        "plain": {},
        "deep": {"deep_extraction": True},
        "keys": {"chunking_keys": {"transactions": "reference"}},
    }[way]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "models").symlink_to(Settings.from_environment().home / "models")
        settings = settings_for(pages, home=Path(folder), context_tokens=context, keep="none")
        with Retab(transport=ExtractionService(settings)) as client:
            began = time.monotonic()
            result = follow(client, statement.pdf, model, asked, began)
    compared = compare(result, statement.value)
    compared |= {"way": way, "seconds": round(time.monotonic() - began, 1), "plan": result.plan and shown_plan(result)}
    print("\n".join(f"{name}: {value}" for name, value in compared.items()))
    for line in itertools.islice(differences(result, statement.value), MOST_SHOWN):
        print(line)
    for notice in result.notices:
        print(f"{notice.code} at {notice.path or '/'}: {notice.message}")
    if as_json:
        print(json.dumps({**compared, "usage": result.usage and result.usage.model_dump()}))
    if compared["rows right"] != rows or not compared["in order"]:
        sys.exit(1)


def follow(client: Retab, pdf: bytes, model: str, asked: dict[str, Any], began: float) -> Extraction:
    """The extraction; how many rows are shown goes to standard error whenever there are more."""
    seen = 0
    with client.extractions.create_stream(pdf, SCHEMA, model=model, bust_cache=True, **asked) as stream:
        for chunk in stream:
            rows = chunk.output.get("transactions", []) if isinstance(chunk.output, dict) else []
            if isinstance(rows, list) and len(rows) > seen:
                seen = len(rows)
                print(f"{time.monotonic() - began:7.1f} s  {seen} rows", file=sys.stderr, flush=True)
    assert isinstance(chunk, Extraction)
    return chunk


def compare(result: Extraction, value: dict[str, Any]) -> dict[str, Any]:
    """How many of the printed rows are in the result, each field by field, and whether they are in order."""
    output: Any = result.output
    found = output["transactions"]
    by_reference = {row["reference"]: row for row in found}
    printed = value["transactions"]
    known = [by_reference.get(row["reference"]) for row in printed]
    order = [row["reference"] for row in found]
    return {
        "rows printed": len(printed),
        "rows found": len(found),
        "keys found": sum(row is not None for row in known),
        "rows right": sum(row == wanted for row, wanted in zip(known, printed, strict=True)),
        "fields wrong": sum(
            row[name] != wanted[name] for row, wanted in zip(known, printed, strict=True) if row for name in wanted
        ),
        "in order": order == sorted(order),
        "head right": {name: output[name] == value[name] for name in value if name != "transactions"},
    }


def differences(result: Extraction, value: dict[str, Any]) -> Iterator[str]:
    """The fields that are wrong, one by one."""
    output: Any = result.output
    by_reference = {row["reference"]: row for row in output["transactions"]}
    for wanted in value["transactions"]:
        row = by_reference.get(wanted["reference"], {})
        for name in wanted:
            if row and row[name] != wanted[name]:
                yield f"{wanted['reference']}: {name} is {row[name]!r}, printed is {wanted[name]!r}"


def shown_plan(result: Extraction) -> str:
    plan = result.plan
    assert plan is not None
    return (
        f"{plan.mode}, {len(plan.parts)} parts, {plan.rows} rows, {plan.prompt_tokens} + {plan.output_tokens} tokens, "
        f"{plan.seconds} s"
    )


if __name__ == "__main__":
    app()
