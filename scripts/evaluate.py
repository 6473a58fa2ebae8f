"""Accuracy on documents with known answers, by each set's own scoring rules."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from scoring import Outcome, score_retab_field

from local_retab import Extraction, Retab, Settings

ROOT = Path(__file__).resolve().parent.parent
STARTER = "qwen2.5-coder-1.5b-instruct"

app = typer.Typer(add_completion=False, help=__doc__, rich_markup_mode=None)


@app.callback()
def main() -> None:
    """Accuracy on documents with known answers, by each set's own scoring rules."""


@dataclass(frozen=True, slots=True)
class Item:
    """One document with its answer."""

    id: str
    document: Path
    schema: dict[str, Any]
    gold: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one document."""

    item: Item
    output: dict[str, Any]
    valid: bool
    seconds: float
    tokens: int
    outcomes: dict[str, Outcome]

    @property
    def right(self) -> int:
        return sum(outcome.right for outcome in self.outcomes.values())


def run_item(client: Retab, item: Item, model: str) -> Result:
    started = time.perf_counter()
    extraction: Extraction = client.extractions.create(item.document, item.schema, model=model)
    seconds = time.perf_counter() - started
    output = extraction.output
    assert isinstance(output, dict)
    return Result(
        item=item,
        output=output,
        valid=jsonschema.Draft202012Validator(item.schema).is_valid(output),
        seconds=seconds,
        tokens=extraction.usage.output_tokens if extraction.usage else 0,
        outcomes={name: score_retab_field(gold, output.get(name)) for name, gold in item.gold.items()},
    )


@app.command("retab_schema_quality")
def retab_schema_quality(
    schema: Annotated[str, typer.Option(help="baseline, nullable, reasoning or enum")] = "enum",
    model: Annotated[str, typer.Option(help="Model name or path of a GGUF file")] = STARTER,
    data: Annotated[Path, typer.Option(help="Folder of the evaluation sets")] = ROOT.parent / "shared" / "eval",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line")] = False,
) -> None:
    """Five one-page invoices, 12 scored fields each: the hosted API's own cookbook benchmark."""
    folder = data / "retab_schema_quality"
    manifest = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    items = [
        Item(
            id=Path(line["document"]).stem,
            document=folder / line["document"],
            schema=json.loads((folder / line["schema"]).read_text()),
            gold=json.loads((folder / line["gold"]).read_text()),
        )
        for line in manifest
        if line["schema"] == f"schemas/{schema}.json"
    ]
    if not items:
        raise typer.BadParameter(f"no schema {schema!r} in {folder / 'manifest.jsonl'}", param_hint="--schema")
    report("retab_schema_quality", run(items, model), schema=schema, model=model, as_json=as_json)


def run(items: list[Item], model: str) -> list[Result]:
    console = Console(stderr=True)
    with Retab(Settings.from_environment()) as client, Progress(console=console, transient=True) as progress:
        return [run_item(client, item, model) for item in progress.track(items, description="extracting")]


def report(name: str, results: list[Result], *, schema: str, model: str, as_json: bool) -> None:
    console = Console(width=140)
    table = Table(title=f"{name}, {schema}.json, {model}")
    table.add_column("field")
    for result in results:
        table.add_column(result.item.id, overflow="fold")
    for field in results[0].outcomes:
        table.add_row(field, *(describe(result, field) for result in results))
    table.add_section()
    table.add_row("right", *(f"{result.right} of {len(result.outcomes)}" for result in results))
    table.add_row("schema-valid", *("yes" if result.valid else "NO" for result in results))
    table.add_row("seconds", *(f"{result.seconds:.1f}" for result in results))
    table.add_row("output tokens", *(str(result.tokens) for result in results))
    console.print(table)
    counts = Counter(outcome for result in results for outcome in result.outcomes.values())
    right = sum(result.right for result in results)
    total = sum(len(result.outcomes) for result in results)
    absent = sum(gold is None for result in results for gold in result.item.gold.values())
    console.print(f"right: {right} of {total}; all-null floor: {absent} of {total}")
    console.print(", ".join(f"{outcome.value}: {counts[outcome]}" for outcome in Outcome))
    if as_json:
        summary = {
            "set": name,
            "schema": schema,
            "model": model,
            "right": right,
            "scored": total,
            "floor": absent,
            "schema_valid": sum(result.valid for result in results),
            "documents": len(results),
            "outcomes": {outcome.value: counts[outcome] for outcome in Outcome},
            "seconds": [round(result.seconds, 2) for result in results],
            "fields": {
                result.item.id: {field: outcome.value for field, outcome in result.outcomes.items()}
                for result in results
            },
        }
        print(json.dumps(summary))


def describe(result: Result, field: str) -> str:
    outcome = result.outcomes[field]
    if outcome.right:
        return f"{outcome.value}"
    return f"[bold]{outcome.value}[/bold]: {result.output.get(field)!r}, not {result.item.gold[field]!r}"


if __name__ == "__main__":
    app()
