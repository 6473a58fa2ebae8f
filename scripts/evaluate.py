"""Accuracy on documents with known answers, by each set's own scoring rules; sets are never pooled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from evaluation_ablation import Ablation
from evaluation_nano import nano
from evaluation_report import Report
from evaluation_run import Options, evaluate
from evaluation_sets import SETS, load_items
from evaluation_variants import VARIANTS
from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "eval"
STARTER = "qwen2.5-coder-1.5b-instruct"

app = typer.Typer(add_completion=False, help=__doc__, rich_markup_mode=None)


@app.callback()
def main() -> None:
    """Accuracy on documents with known answers, by each set's own scoring rules; sets are never pooled."""


Model = Annotated[str, typer.Option(help="Model name or path of a GGUF file")]
Data = Annotated[Path, typer.Option(help="Folder of the evaluation sets")]
Limit = Annotated[int, typer.Option(help="Only the first documents; 0: all")]
Votes = Annotated[int, typer.Option("--n", help="n_consensus")]
Absent = Annotated[str | None, typer.Option(help="null: what is not stated is null, as hosted")]
Names = Annotated[list[str] | None, typer.Option("--variant", help="One thing changed; again for further ones")]
Ablate = Annotated[bool, typer.Option("--ablate", help=f"Every variant, and their table: {', '.join(VARIANTS)}")]
Out = Annotated[Path | None, typer.Option(help="Folder for the reports in JSON and Markdown")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on the last line")]


@app.command("retab_schema_quality")
def retab_schema_quality(
    schema: Annotated[str, typer.Option(help="baseline, nullable, reasoning or enum")] = "enum",
    model: Model = STARTER,
    n: Votes = 1,
    absent: Absent = None,
    variant: Names = None,
    ablate: Ablate = False,
    limit: Limit = 0,
    data: Data = DATA,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Five one-page invoices, 12 scored fields each: the hosted API's own cookbook benchmark."""
    name = f"{schema}-absent-{absent}" if absent else schema
    run("retab_schema_quality", name, Options(model, n, absent), variant, ablate, limit, data, out, as_json, schema)


@app.command("sroie_dev")
def sroie_dev(
    model: Model = STARTER,
    n: Votes = 1,
    variant: Names = None,
    ablate: Ablate = False,
    limit: Limit = 0,
    data: Data = DATA,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """24 scanned receipts."""
    run("sroie_dev", "", Options(model, n, None), variant, ablate, limit, data, out, as_json)


@app.command("multi_dev")
def multi_dev(
    part: Annotated[str, typer.Argument(help=", ".join(SETS[2:]))],
    model: Model = STARTER,
    n: Votes = 1,
    variant: Names = None,
    ablate: Ablate = False,
    limit: Limit = 0,
    data: Data = DATA,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Ad-buy forms, non-disclosure agreements, text documents, nested long documents."""
    run(part, "", Options(model, n, None), variant, ablate, limit, data, out, as_json)


def run(
    name: str,
    kind: str,
    options: Options,
    chosen: list[str] | None,
    ablate: bool,
    limit: int,
    data: Path,
    out: Path | None,
    as_json: bool,
    schema: str = "",
) -> None:
    items = load_items(name, data, schema)
    names = list(VARIANTS) if ablate else chosen or ["default"]
    if not items or not VARIANTS.keys() >= set(names):
        raise typer.BadParameter(f"{name} has no schema {schema!r}, or there is no variant of {', '.join(names)}")
    items = items[:limit] if limit else items
    title = " ".join(filter(None, (name, kind, f"n={options.n}")))
    console = Console(width=150)
    ablation = Ablation(title, options.model)
    for each, results in evaluate(items, options, {each: VARIANTS[each] for each in names}):
        report = Report(f"{title} {each}", options.model, results)
        report.show(console)
        ablation.reports[each] = report
        if out:
            # In a folder of their own, so that likelihoods are fitted on the product alone.
            report.save(out if each == "default" else out / "variants")
            if len(names) > 1:
                ablation.save(out / "variants")
        if as_json:
            print(json.dumps(report.summary()))
    if len(names) > 1:
        console.print("\n".join(ablation.markdown()), markup=False)


app.command("nano")(nano)


if __name__ == "__main__":
    app()
