"""The share of fields that the small model of this repository reads right on fresh pages that a program draws."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Annotated, Any, Literal

import typer
from nano.exam import ExamPage, Marks, draw_exam
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from local_retab import Retab, Settings
from local_retab.errors import OutputValidationError

Modality = Literal["image", "auto"]


@dataclass(frozen=True, slots=True)
class Timed:
    """One extraction: its value, the seconds until the first chunk and until the end, and the images encoded for it."""

    output: Any
    first: float
    seconds: float
    encoded: int


def extract(client: Retab, page: ExamPage, model: str, modality: Modality) -> Timed:
    """Raises OutputValidationError."""
    started = time.perf_counter()
    with client.extractions.create_stream(
        page.picture, page.schema, model=model, modality=modality, bust_cache=True
    ) as stream:
        next(stream)
        first = time.perf_counter() - started
        result = stream.final()
    encoded = result.usage.encoded_images if result.usage else 0
    return Timed(result.output, first, time.perf_counter() - started, encoded)


def nano(
    seed: Annotated[int, typer.Option(help="Draws other pages")] = 1,
    pages: Annotated[int, typer.Option(help="How many pages")] = 200,
    model: Annotated[str, typer.Option(help="Model name or path of a GGUF file")] = "nano",
    modality: Annotated[
        Modality, typer.Option(help="image, or auto: with the text layer where the profile reads it")
    ] = ("image"),
    sheets: Annotated[int, typer.Option(help="Sheets of each document", min=1, max=2)] = 1,
    keep: Annotated[
        Path | None, typer.Option(help="Keep pages that were read without a mistake in this folder")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Read each page a second time at once, and compare the first chunks")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line")] = False,
) -> None:
    """Fresh pages that a program draws: what the small model of this repository was trained to read."""
    console = Console(stderr=True)
    marks, seconds, refused, whole = Marks.none(), [], 0, 0
    twice: list[tuple[Timed, Timed]] = []
    with tempfile.TemporaryDirectory() as folder, Retab(Settings.from_environment()) as client:
        exam = draw_exam(Path(folder), seed=seed, pages=pages, sheets=sheets)
        with Progress(console=console, transient=True) as progress:
            for page in progress.track(exam, description="extracting"):
                output: Any = {}
                try:
                    timed = extract(client, page, model, modality)
                    output = timed.output
                    seconds.append(timed.seconds)
                    if again:
                        twice.append((timed, extract(client, page, model, modality)))
                except OutputValidationError:
                    refused += 1  # every field of it counts as wrong
                marks.add(page, output)
                if output == page.gold:
                    whole += 1
                    if keep:
                        page.keep(keep)
    seconds, twice = seconds[1:] or seconds, twice[1:] or twice  # the first one loads the model
    table = Table("", "right", "fields", "exact match", title=f"nano, seed {seed}, {pages} pages, {model}")
    for name in marks.all:
        table.add_row(name.replace("_", " "), str(marks.right[name]), str(marks.all[name]), f"{marks.share(name):.1%}")
    Console(width=100).print(table)
    print(f"exact match on seen fonts: {marks.share('seen_fonts'):.1%}; refused: {refused}")
    print(f"pages without a mistake: {whole}")
    print(f"seconds a page: {fmean(seconds):.2f}")
    if twice:
        once, second = (median(pair[index].first for pair in twice) for index in (0, 1))
        encoded = sum(pair[1].encoded for pair in twice)
        least = min(pair[0].first / pair[1].first for pair in twice)
        print(f"first chunk after {1000 * once:.0f} ms, of the same page again after {1000 * second:.0f} ms (medians)")
        print(f"{once / second:.1f} times sooner, {least:.1f} times at least; {encoded} images encoded again")
    if as_json:
        summary = {
            "set": "nano",
            "seed": seed,
            "pages": pages,
            "model": model,
            "exact_match": round(marks.share("seen_fonts"), 4),
            "shares": {name: round(marks.share(name), 4) for name in marks.all},
            "fields": dict(marks.all),
            "refused": refused,
            "whole_pages": whole,
            "modality": modality,
            "sheets": sheets,
            "through": "the client",
            "seconds_mean": round(fmean(seconds), 3),
            "seconds_max": round(max(seconds), 3),
        }
        print(json.dumps(summary))
