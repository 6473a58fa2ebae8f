"""Accuracy on documents with known answers, by each set's own scoring rules; sets are never pooled."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer
from evaluation_nano import nano
from evaluation_report import Report
from evaluation_run import Options, evaluate
from evaluation_sets import SETS, load_items
from rich.console import Console

from local_retab.extraction.prompt import LABEL_RULES, STYLE

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "eval"
STARTER = "qwen2.5-coder-1.5b-instruct"
STYLES = {
    "default": STYLE,
    "label_rules": dataclasses.replace(STYLE, rules=LABEL_RULES),
    "document_first": dataclasses.replace(STYLE, document_first=True),
    "no_layout": dataclasses.replace(STYLE, spatial=False),
    "no_iso_dates": dataclasses.replace(STYLE, iso_dates=False),
}
"""The prompt as it is, and with one thing changed."""

app = typer.Typer(add_completion=False, help=__doc__, rich_markup_mode=None)


@app.callback()
def main() -> None:
    """Accuracy on documents with known answers, by each set's own scoring rules; sets are never pooled."""


Model = Annotated[str, typer.Option(help="Model name or path of a GGUF file")]
Data = Annotated[Path, typer.Option(help="Folder of the evaluation sets")]
Limit = Annotated[int, typer.Option(help="Only the first documents; 0: all")]
Votes = Annotated[int, typer.Option("--n", help="n_consensus")]
Absent = Annotated[str | None, typer.Option(help="null: what is not stated is null, as hosted")]
Style = Annotated[str, typer.Option(help=f"Variant of the prompt: {', '.join(STYLES)}")]
Ablate = Annotated[bool, typer.Option("--ablate", help="Every variant of the prompt, one after another")]
Out = Annotated[Path | None, typer.Option(help="Folder for the reports in JSON and Markdown")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on the last line")]


@app.command("retab_schema_quality")
def retab_schema_quality(
    schema: Annotated[str, typer.Option(help="baseline, nullable, reasoning or enum")] = "enum",
    model: Model = STARTER,
    n: Votes = 1,
    absent: Absent = None,
    style: Style = "default",
    ablate: Ablate = False,
    limit: Limit = 0,
    data: Data = DATA,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Five one-page invoices, 12 scored fields each: the hosted API's own cookbook benchmark."""
    name = f"{schema}-absent-{absent}" if absent else schema
    run("retab_schema_quality", name, Options(model, n, absent), style, ablate, limit, data, out, as_json, schema)


@app.command("sroie_dev")
def sroie_dev(
    model: Model = STARTER,
    n: Votes = 1,
    style: Style = "default",
    ablate: Ablate = False,
    limit: Limit = 0,
    data: Data = DATA,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """24 scanned receipts."""
    run("sroie_dev", "", Options(model, n, None), style, ablate, limit, data, out, as_json)


@app.command("multi_dev")
def multi_dev(
    part: Annotated[str, typer.Argument(help=", ".join(SETS[2:]))],
    model: Model = STARTER,
    n: Votes = 1,
    style: Style = "default",
    ablate: Ablate = False,
    limit: Limit = 0,
    data: Data = DATA,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Ad-buy forms, non-disclosure agreements, text documents, nested long documents."""
    run(part, "", Options(model, n, None), style, ablate, limit, data, out, as_json)


def run(
    name: str,
    variant: str,
    options: Options,
    style: str,
    ablate: bool,
    limit: int,
    data: Path,
    out: Path | None,
    as_json: bool,
    schema: str = "",
) -> None:
    items = load_items(name, data, schema)
    if not items or style not in STYLES:
        raise typer.BadParameter(f"{name} has no schema {schema!r}, or there is no style {style!r}")
    items = items[:limit] if limit else items
    for each in STYLES if ablate else [style]:
        results = evaluate(items, options, STYLES[each])
        report = Report(" ".join(filter(None, (name, variant, f"n={options.n}", each))), options.model, results)
        report.show(Console(width=150))
        if out:
            report.save(out)
        if as_json:
            print(json.dumps(report.summary()))


app.command("nano")(nano)


if __name__ == "__main__":
    app()
