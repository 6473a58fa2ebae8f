"""Speed and memory: this engine, and llama-cpp-python's own create_chat_completion, on the same documents.

Each engine runs in a process of its own, one after the other. The phases: the first document with nothing cached
(cold), the following documents under the same schema (warm-schema), and the last document once more (repeat).
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from local_retab.wire import Usage

ROOT = Path(__file__).resolve().parent.parent
QUALITY = ROOT.parent / "shared" / "eval" / "retab_schema_quality"
STARTER = "qwen2.5-coder-1.5b-instruct"
ENGINES = ("local_retab", "llama-cpp-python")


@dataclass(slots=True)
class Run:
    """One document's timings, seconds; counts are None where an engine does not report them."""

    phase: str
    document: str
    first_chunk: float
    total: float
    output_tokens: int | None = None
    prompt_tokens: int | None = None
    cached_prompt_tokens: int | None = None
    image_tokens: int | None = None
    encoded_images: int | None = None
    forced_output_tokens: int | None = None
    draft_tokens: int | None = None
    accepted_draft_tokens: int | None = None
    decode_calls: int | None = None
    encode_seconds: float | None = None
    prefill_seconds: float | None = None
    decode_seconds: float | None = None
    grammar_seconds: float | None = None


@dataclass(slots=True)
class Report:
    """What one engine did."""

    engine: str
    load_seconds: float
    peak_rss_bytes: int = 0
    runs: list[Run] = field(default_factory=list)


def peak_rss() -> int:
    """Peak resident set of this process, bytes (Linux counts kilobytes, macOS bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def phases(documents: list[Path]) -> list[tuple[str, Path]]:
    first, *rest = documents
    return [("cold", first), *(("warm-schema", path) for path in rest), ("repeat", documents[-1])]


def bench_ours(model: str, schema: dict[str, Any], documents: list[Path]) -> Report:
    from local_retab import Retab, Settings
    from local_retab.service import ExtractionService

    settings = Settings.from_environment()
    service = ExtractionService(settings)
    started = time.perf_counter()
    service.preload(model)
    report = Report(ENGINES[0], time.perf_counter() - started)
    with Retab(transport=service) as client:
        for phase, document in phases(documents):
            started = time.perf_counter()
            # What was measured before must not be answered from the cache.
            stream = client.extractions.create_stream(document, schema, model=model, bust_cache=True)
            next(stream)
            first = time.perf_counter() - started
            usage = stream.final().usage
            assert usage is not None
            report.runs.append(Run(phase, document.name, first, time.perf_counter() - started, **counts(usage)))
    return report


def counts(usage: Usage) -> dict[str, Any]:
    return usage.model_dump(exclude={"credits", "queue_seconds"})


def bench_peer(model: str, schema: dict[str, Any], documents: list[Path]) -> Report:
    import llama_cpp

    from local_retab import Settings
    from local_retab.documents import load
    from local_retab.engine.hardware import physical_cores
    from local_retab.extraction.prompt import STYLE, join_pages
    from local_retab.extraction.reading import read_pages
    from local_retab.service import ExtractionService

    settings = Settings.from_environment()
    path = ExtractionService(settings).store.resolve(model, settings).path
    texts = {
        document: join_pages(
            [page.text for page in read_pages(load(document, settings=settings), dpi=192, settings=settings)]
        )
        for document in documents
    }
    started = time.perf_counter()
    threads = settings.threads or physical_cores()
    llama = llama_cpp.Llama(
        str(path), n_ctx=settings.context_tokens, n_threads=threads, n_threads_batch=threads, verbose=False
    )
    report = Report(ENGINES[1], time.perf_counter() - started)
    system = f"{STYLE.task}\n\nThe JSON schema:\n{json.dumps(schema)}"
    for phase, document in phases(documents):
        messages = [
            {"role": "system", "content": system},
            {"role": "user", "content": f"The document:\n\n{texts[document]}"},
        ]
        started = time.perf_counter()
        first, tokens, text = 0.0, 0, ""
        for chunk in llama.create_chat_completion(
            messages=messages,
            response_format={"type": "json_object", "schema": schema},
            temperature=0.0,
            max_tokens=settings.max_output_tokens,
            stream=True,
        ):
            piece = chunk["choices"][0]["delta"].get("content")
            if piece:
                first = first or time.perf_counter() - started
                tokens += 1
                text += piece
        json.loads(text)
        report.runs.append(Run(phase, document.name, first, time.perf_counter() - started, output_tokens=tokens))
    llama.close()
    return report


WORKERS: dict[str, Callable[[str, dict[str, Any], list[Path]], Report]] = {
    ENGINES[0]: bench_ours,
    ENGINES[1]: bench_peer,
}


def run_worker(engine: str, model: str, schema: Path, documents: list[Path]) -> Report:
    """Run one engine in a fresh process, so that its memory is its own."""
    command = [sys.executable, __file__, "--worker", engine, "--model", model, "--schema", str(schema)]
    result = subprocess.run([*command, *map(str, documents)], stdout=subprocess.PIPE, text=True, check=True)
    values = json.loads(result.stdout.splitlines()[-1])
    return Report(**{**values, "runs": [Run(**run) for run in values["runs"]]})


def total(report: Report, phase: str) -> float:
    return sum(run.total for run in report.runs if run.phase == phase)


def show(reports: list[Report], model_bytes: int) -> None:
    console = Console(width=150)
    table = Table(title="each phase, seconds (warm-schema: all its documents together)")
    for name in ("engine", "phase", "documents", "first chunk (median)", "total", "output tokens", "images encoded"):
        table.add_column(name, justify="left" if name in ("engine", "phase") else "right")
    for report in reports:
        for phase in dict.fromkeys(run.phase for run in report.runs):
            runs = [run for run in report.runs if run.phase == phase]
            table.add_row(
                report.engine,
                phase,
                str(len(runs)),
                f"{statistics.median(run.first_chunk for run in runs):.2f}",
                f"{total(report, phase):.2f}",
                str(sum(run.output_tokens or 0 for run in runs)),
                str(sum(run.encoded_images or 0 for run in runs)),
            )
    console.print(table)
    for report in reports:
        console.print(
            f"{report.engine}: model load {report.load_seconds:.1f} s, "
            f"peak memory {report.peak_rss_bytes / 2**20:.0f} MiB (model file {model_bytes / 2**20:.0f} MiB)"
        )
    for name, value in figures(reports[0]).items():
        console.print(f"{reports[0].engine}: {name.replace('_', ' ')}: {value:.4g}")
    if len(reports) > 1:
        for phase, ratio in ratios(reports).items():
            console.print(f"{phase}: {reports[1].engine} takes {ratio:.2f} times as long as {reports[0].engine}")


def figures(report: Report) -> dict[str, float]:
    """The engine's own counters, over all its runs."""

    def add(name: str) -> float:
        return sum(getattr(run, name) or 0 for run in report.runs)

    prefilled = add("prompt_tokens") - add("cached_prompt_tokens")
    return {
        "prefill_tokens_per_second": prefilled / add("prefill_seconds"),
        "decode_tokens_per_second": add("output_tokens") / add("decode_seconds"),
        "decode_calls_per_output_token": add("decode_calls") / add("output_tokens"),
        "jump_forward_share": add("forced_output_tokens") / add("output_tokens"),
        "draft_share": add("accepted_draft_tokens") / add("output_tokens"),
        "draft_acceptance": add("accepted_draft_tokens") / max(1, add("draft_tokens")),
        "grammar_milliseconds_per_output_token": 1000 * add("grammar_seconds") / add("output_tokens"),
        "cached_prompt_share": add("cached_prompt_tokens") / add("prompt_tokens"),
    }


def ratios(reports: list[Report]) -> dict[str, float]:
    ours, peer = reports
    return {phase: total(peer, phase) / total(ours, phase) for phase in ("cold", "warm-schema", "repeat")}


def main(
    documents: Annotated[list[Path] | None, typer.Argument(help="Documents; default: five invoices")] = None,
    schema: Annotated[Path | None, typer.Option(help="JSON schema of the documents")] = None,
    model: Annotated[str, typer.Option(help="Model name or path of a GGUF file")] = STARTER,
    peer: Annotated[bool, typer.Option(help="Also run llama-cpp-python's own path")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line")] = False,
    worker: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Speed and memory of this engine beside llama-cpp-python's own JSON path.

    Without arguments: the five invoices of ../shared/eval/retab_schema_quality with enum.json where that folder is,
    else the generated sample invoice.
    """
    if worker is not None:
        assert schema is not None
        report = WORKERS[worker](model, json.loads(schema.read_text()), documents or [])
        report.peak_rss_bytes = peak_rss()
        print(json.dumps(asdict(report)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        if not documents and QUALITY.exists():
            documents = sorted((QUALITY / "documents").glob("*.pdf"))
            schema = schema or QUALITY / "schemas" / "enum.json"
        elif not documents:
            sample = Path(scratch) / "Invoice.pdf"
            subprocess.run([sys.executable, ROOT / "scripts" / "make_sample_invoice.py", sample], check=True)
            documents, schema = [sample], schema or ROOT / "scripts" / "sample_invoice_schema.json"
        if schema is None:
            raise typer.BadParameter("documents need a schema", param_hint="--schema")
        engines = ENGINES if peer else ENGINES[:1]
        reports = [run_worker(engine, model, schema, documents) for engine in engines]
    model_bytes = model_file(model).stat().st_size
    show(reports, model_bytes)
    if as_json:
        summary: dict[str, Any] = {"model_bytes": model_bytes, "reports": [asdict(report) for report in reports]}
        summary["figures"] = figures(reports[0])
        if peer:
            summary["ratios"] = ratios(reports)
        print(json.dumps(summary))


def model_file(model: str) -> Path:
    from local_retab import Settings
    from local_retab.service import ExtractionService

    settings = Settings.from_environment()
    return ExtractionService(settings).store.resolve(model, settings).path


if __name__ == "__main__":
    typer.run(main)
