"""Accuracy on documents with known answers, by each set's own scoring rules; sets are never pooled."""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import jsonschema
import typer
from evaluation_sets import SETS, Item, load_items
from nano.exam import Marks, draw_exam
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from scoring import Outcome, Score

from local_retab import Extraction, LocalRetabError, Retab, Settings

ROOT = Path(__file__).resolve().parent.parent
STARTER = "qwen2.5-coder-1.5b-instruct"

app = typer.Typer(add_completion=False, help=__doc__, rich_markup_mode=None)


@app.callback()
def main() -> None:
    """Accuracy on documents with known answers, by each set's own scoring rules; sets are never pooled."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one document. ``problem`` says why there is no output."""

    item: Item
    output: Any
    problem: str
    valid: bool
    seconds: float
    tokens: int
    scores: dict[str, Score]

    @property
    def right(self) -> int:
        return sum(score.outcome.right for score in self.scores.values())


def run_item(client: Retab, item: Item, model: str, options: dict[str, Any]) -> Result:
    started = time.perf_counter()
    output: Any = None
    problem = ""
    tokens = 0
    try:
        extraction: Extraction = client.extractions.create(item.document, item.schema, model=model, **options)
        output = extraction.output
        tokens = extraction.usage.output_tokens if extraction.usage else 0
    except LocalRetabError as error:
        problem = f"{error.code}: {error.message}"
    return Result(
        item=item,
        output=output,
        problem=problem,
        valid=jsonschema.Draft202012Validator(item.schema).is_valid(output),
        seconds=time.perf_counter() - started,
        tokens=tokens,
        scores=item.scores(output),
    )


Model = Annotated[str, typer.Option(help="Model name or path of a GGUF file")]
Data = Annotated[Path, typer.Option(help="Folder of the evaluation sets")]
Limit = Annotated[int, typer.Option(help="Only the first documents; 0: all")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on the last line")]
DATA = ROOT.parent / "shared" / "eval"


def _evaluate(name: str, *, schema: str, model: str, data: Path, limit: int, as_json: bool) -> None:
    items = load_items(name, data, schema)
    if not items:
        raise typer.BadParameter(f"no such schema in {name}: {schema!r}", param_hint="--schema")
    items = items[:limit] if limit else items
    console = Console(stderr=True)
    with Retab(Settings.from_environment()) as client, Progress(console=console, transient=True) as progress:
        results = [run_item(client, item, model, {}) for item in progress.track(items, description="extracting")]
    report(name, results, schema=schema, model=model, as_json=as_json)


@app.command("retab_schema_quality")
def retab_schema_quality(
    schema: Annotated[str, typer.Option(help="baseline, nullable, reasoning or enum")] = "enum",
    model: Model = STARTER,
    data: Data = DATA,
    limit: Limit = 0,
    as_json: Json = False,
) -> None:
    """Five one-page invoices, 12 scored fields each: the hosted API's own cookbook benchmark."""
    _evaluate("retab_schema_quality", schema=schema, model=model, data=data, limit=limit, as_json=as_json)


@app.command("sroie_dev")
def sroie_dev(model: Model = STARTER, data: Data = DATA, limit: Limit = 0, as_json: Json = False) -> None:
    """24 scanned receipts."""
    _evaluate("sroie_dev", schema="", model=model, data=data, limit=limit, as_json=as_json)


@app.command("multi_dev")
def multi_dev(
    part: Annotated[str, typer.Argument(help=", ".join(SETS[2:]))],
    model: Model = STARTER,
    data: Data = DATA,
    limit: Limit = 0,
    as_json: Json = False,
) -> None:
    """Ad-buy forms, non-disclosure agreements, text documents, nested long documents."""
    _evaluate(part, schema="", model=model, data=data, limit=limit, as_json=as_json)


@app.command("nano")
def nano(
    seed: Annotated[int, typer.Option(help="Draws other pages")] = 1,
    pages: Annotated[int, typer.Option(help="How many pages")] = 200,
    model: Annotated[str, typer.Option(help="Model name or path of a GGUF file")] = "nano",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line")] = False,
) -> None:
    """Fresh pages that a program draws, image only: what the small model of this repository was trained to read."""
    console = Console(stderr=True)
    marks, seconds = Marks.none(), []
    with tempfile.TemporaryDirectory() as folder, Retab(Settings.from_environment()) as client:
        exam = draw_exam(Path(folder), seed=seed, pages=pages)
        with Progress(console=console, transient=True) as progress:
            for page in progress.track(exam, description="extracting"):
                started = time.perf_counter()
                extraction = client.extractions.create(page.picture, page.schema, model=model, modality="image")
                seconds.append(time.perf_counter() - started)
                assert isinstance(extraction.output, dict)
                marks.add(page, extraction.output)
    seconds = seconds[1:] or seconds  # the first one loads the model
    table = Table("", "right", "fields", "exact match", title=f"nano, seed {seed}, {pages} pages, {model}")
    for name in marks.all:
        table.add_row(name.replace("_", " "), str(marks.right[name]), str(marks.all[name]), f"{marks.share(name):.1%}")
    Console(width=100).print(table)
    print(f"exact match on seen fonts: {marks.share('seen_fonts'):.1%}; seconds a page: {fmean(seconds):.2f}")
    if as_json:
        summary = {
            "set": "nano",
            "seed": seed,
            "pages": pages,
            "model": model,
            "exact_match": round(marks.share("seen_fonts"), 4),
            "shares": {name: round(marks.share(name), 4) for name in marks.all},
            "fields": dict(marks.all),
            "through": "the client, image only",
            "seconds_mean": round(fmean(seconds), 3),
            "seconds_max": round(max(seconds), 3),
        }
        print(json.dumps(summary))


def report(name: str, results: list[Result], *, schema: str, model: str, as_json: bool) -> None:
    console = Console(width=160)
    table = Table("document", "field", "outcome", "value", "answer", title=f"{name} {schema} {model}")
    for result in results:
        for field, score in result.scores.items():
            if not score.outcome.right:
                value = result.problem or (result.output.get(field) if isinstance(result.output, dict) else None)
                table.add_row(
                    result.item.id,
                    field,
                    score.outcome.value,
                    f"{value!r}"[:90],
                    f"{result.item.gold.get(field)!r}"[:90],
                )
    console.print(table)
    fields = list(dict.fromkeys(field for result in results for field in result.scores))
    if len(fields) < 30:
        for field in fields:
            scores = [result.scores[field] for result in results if field in result.scores]
            console.print(
                f"{field}: {sum(s.outcome.right for s in scores)} of {len(scores)}"
                f" (credit {sum(s.credit for s in scores) / len(scores):.3f})"
            )
    counts = Counter(score.outcome for result in results for score in result.scores.values())
    right = sum(result.right for result in results)
    total = sum(len(result.scores) for result in results)
    absent = sum(
        score.outcome in (Outcome.CORRECT_ABSENCE, Outcome.HALLUCINATION)
        for result in results
        for score in result.scores.values()
    )
    console.print(
        f"right: {right} of {total}; all-null floor: {absent} of {total}; "
        f"schema-valid {sum(r.valid for r in results)} of {len(results)}; "
        f"seconds {sum(r.seconds for r in results):.0f}; tokens {sum(r.tokens for r in results)}"
    )
    console.print(", ".join(f"{outcome.value}: {counts[outcome]}" for outcome in Outcome))
    if as_json:
        print(
            json.dumps(
                {
                    "set": name,
                    "schema": schema,
                    "model": model,
                    "right": right,
                    "scored": total,
                    "floor": absent,
                    "documents": len(results),
                    "outputs": {r.item.id: r.output for r in results},
                }
            )
        )


if __name__ == "__main__":
    app()
