"""``local-retab batch``: many documents under one schema, resumable, with a record of each in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from local_retab.cli import extract
from local_retab.cli.terminal import has_screen, say, stderr_console
from local_retab.errors import RequestError

if TYPE_CHECKING:
    from local_retab.batch import Journal, Plan, Record
    from local_retab.client import Retab
    from local_retab.service import ExtractionService
    from local_retab.settings import Settings

SOME_FAILED = 1
ENGINES = ("embedded", "ray")

EPILOG = """Example: local-retab batch invoices/ --schema invoice.json --out results.jsonl

Example: local-retab batch 'scans/**/*.pdf' --schema invoice.json --out results.parquet

Each document gives one record: its output, or the error that it ended with. The same command goes on where an earlier \
one was stopped, even by a crash. Exits with 1 when every document has a record and some of them are errors."""


def batch(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", help="Documents, folders, quoted patterns, or manifests (@FILE, one path a line)."
        ),
    ],
    schema: Annotated[Path, typer.Option(help="File with the JSON Schema of what to extract.")],
    out: Annotated[Path, typer.Option(help="Where the records go: a file that ends with .jsonl or .parquet.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="Installed model, retab-micro, -small or -large, or path of a GGUF file. Default: retab-small."
        ),
    ] = None,
    instructions: Annotated[str | None, typer.Option(help="Advice to the model, in plain words.")] = None,
    dpi: Annotated[int | None, typer.Option(help="Resolution of page images, 96 to 300. Default: 192.")] = None,
    pages: Annotated[str | None, typer.Option(help="Pages to read of each, such as 1-3,7 or 5-. Default: all.")] = None,
    attachments: Annotated[
        bool, typer.Option("--attachments", help="Also read the documents that are attached to a mail (eml, msg).")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Documents at once.")] = 1,
    engine: Annotated[
        str,
        typer.Option(help="embedded, or ray: --jobs actors of the cluster that RAY_ADDRESS names, or of a local one."),
    ] = "embedded",
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try the documents again that ended with an error before.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Forget what an earlier run wrote to --out.")] = False,
) -> None:
    """Extract from many documents: one record each, errors among them, resumable after a crash."""
    from local_retab.batch import Journal, Plan, run_batch, run_on_ray
    from local_retab.client import Retab
    from local_retab.settings import Settings
    from local_retab.wire import DEFAULT_DPI, DEFAULT_MODEL

    if engine not in ENGINES:
        raise RequestError(f"--engine {engine}: choose one of {', '.join(ENGINES)}.")
    settings = Settings.from_environment()
    plan = Plan.make(
        inputs,
        schema,
        settings=settings,
        fields={
            "model": DEFAULT_MODEL if model is None else model,
            "instructions": instructions,
            "image_resolution_dpi": DEFAULT_DPI if dpi is None else dpi,
            "pages": pages,
            **({"attachments": True} if attachments else {}),  # without it, the records of older versions go on
        },
    )
    with Journal.open(out, plan, restart=restart, retry_failed=retry_failed) as journal:
        with _progress(plan, journal) as advance:
            if engine == "ray":
                run_on_ray(
                    plan, journal, partial(_open_client, extract.open_service, settings), jobs=jobs, advance=advance
                )
            else:
                service = extract.open_service(settings)
                with Retab(transport=service) as client:
                    if journal.missing(plan):
                        service.preload(plan.fields["model"])
                    run_batch(plan, journal, client, jobs=jobs, advance=advance)
        journal.finish()
        failed = journal.failed
    say(f"{len(plan.documents)} documents, {failed} with an error · written to {out}", style="dim")
    if failed:
        raise typer.Exit(SOME_FAILED)


def _open_client(open_service: Callable[[Settings], ExtractionService], settings: Settings) -> Retab:
    from local_retab.client import Retab

    return Retab(transport=open_service(settings))


@contextmanager
def _progress(plan: Plan, journal: Journal) -> Iterator[Callable[[Record], None]]:
    """A bar with throughput and the time left, where there is a screen."""
    if not has_screen():
        yield lambda record: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(), TextColumn("{task.fields[failed]}"),
    )  # fmt: skip
    with Progress(*columns, console=stderr_console(), transient=True) as bars:
        task = bars.add_task("", total=len(plan.documents), completed=len(journal.done), rate="", failed="")

        def advance(_record: Record) -> None:
            speed = bars.tasks[0].speed
            failed = journal.failed
            rate = f"{60 * speed:.1f}/min" if speed else ""
            bars.update(task, advance=1, rate=rate, failed=f"{failed} failed" if failed else "")

        yield advance
