"""Speed and memory: this engine and others on the same documents, model file, device, threads and context size.

Each engine has a process of its own (scripts/bench_engines.py), and they take turns document by document, so that a
machine that is slow for a while is slow for all. The phases: the first document with nothing cached (cold), the
following documents under the same schema (warm-schema), the last document once more with the result cache bypassed
(repeat), and, for this engine alone, with it (identical).
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from local_retab.weights import InstalledModel

ROOT = Path(__file__).resolve().parent.parent
QUALITY = ROOT.parent / "shared" / "eval" / "retab_schema_quality"
STARTER = "qwen2.5-coder-1.5b-instruct"
SMALL = "smollm2-135m-instruct"
OURS = "local_retab"
CACHED = "identical"  # a request that was answered before; only this engine keeps answers
LLAMA_CPP_PYTHON = "llama-cpp-python"
PEERS = (LLAMA_CPP_PYTHON, "outlines", "llama.cpp server")
SERVER_ENVIRONMENT = ROOT / "build" / "bench"
SERVER_PACKAGE = "xllamacpp==2026.10.11549"


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


def phases(documents: list[Path]) -> list[tuple[str, Path]]:
    first, *rest = documents
    return [("cold", first), *(("warm-schema", path) for path in rest), ("repeat", documents[-1])]


class Worker:
    """One engine's process."""

    def __init__(self, engine: str, setup: dict[str, Any]) -> None:
        self._engine = engine
        command = [interpreter(engine), str(ROOT / "scripts" / "bench_engines.py"), engine]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.report = Report(engine, self._ask(setup)["load_seconds"])

    def _ask(self, values: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        print(json.dumps(values), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.communicate()
            sys.exit(f"bench: {self._engine} ended with status {self._process.returncode}; its error is above.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def run(self, job: dict[str, Any]) -> None:
        self.report.runs.append(Run(**self._ask(job)))

    def finish(self) -> Report:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self.report.peak_rss_bytes = self._answer()["peak_rss_bytes"]
        self._process.stdin = None
        self._process.communicate()
        return self.report


def interpreter(engine: str) -> str:
    """This one, except for llama.cpp's server, whose wheel must not meet llama-cpp-python's library in one process."""
    if engine != PEERS[2]:
        return sys.executable
    python = SERVER_ENVIRONMENT / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", SERVER_ENVIRONMENT], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", SERVER_PACKAGE], check=True)
    return str(python)


def measure(engines: list[str], model: str, schema: Path, documents: list[Path]) -> list[Report]:
    """All engines through all phases, in turn."""
    from local_retab import Settings
    from local_retab.documents import load
    from local_retab.engine.opening import gpu_layers, tuning_of
    from local_retab.extraction.prompt import TASK, join_pages
    from local_retab.extraction.reading import read_pages

    settings = Settings.from_environment()
    texts = {
        document: join_pages(
            [page.text for page in read_pages(load(document, settings=settings), dpi=192, settings=settings)]
        )
        for document in documents
    }
    found = installed(model)
    tuning = tuning_of(found, settings)
    setup = {
        "model": model,
        "model_path": str(found.path),
        "schema": json.loads(schema.read_text()),
        "task": TASK,
        "threads": tuning.threads,
        "gpu_layers": gpu_layers(settings),
        "flash_attention": tuning.flash_attention,
        "context_tokens": settings.context_tokens,
        "max_output_tokens": settings.max_output_tokens,
    }
    workers = [Worker(engine, setup) for engine in engines]
    for phase, document in phases(documents):
        job = {"phase": phase, "document": document.name, "path": str(document), "text": texts[document]}
        for worker in workers:
            worker.run(job)
    workers[0].run({**job, "phase": CACHED})
    return [worker.finish() for worker in workers]


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
                f"{first_chunk(report, phase):.2f}",
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
    for peer in reports[1:]:
        for phase, ratio in ratios(reports[0], peer).items():
            first = first_chunk(peer, phase) / first_chunk(reports[0], phase)
            console.print(
                f"{phase}: {peer.engine} takes {ratio:.2f} times as long as {reports[0].engine} to the end, "
                f"{first:.2f} times to the first chunk"
            )


def figures(report: Report) -> dict[str, float]:
    """The engine's own counters, over all runs that asked the model."""
    runs = [run for run in report.runs if run.phase != CACHED]

    def add(name: str) -> float:
        return sum(getattr(run, name) or 0 for run in runs)

    prefilled = add("prompt_tokens") - add("cached_prompt_tokens")
    return {
        "prefill_tokens_per_second": prefilled / add("prefill_seconds"),
        "decode_tokens_per_second": add("output_tokens") / add("decode_seconds"),
        "decode_calls_per_output_token": add("decode_calls") / add("output_tokens"),
        "jump_forward_share": add("forced_output_tokens") / add("output_tokens"),
        "draft_share": add("accepted_draft_tokens") / add("output_tokens"),
        "draft_acceptance": add("accepted_draft_tokens") / max(1, add("draft_tokens")),
        "grammar_milliseconds_per_output_token": 1000 * add("grammar_seconds") / add("output_tokens"),
        "share_of_time_outside_llama_cpp": 1
        - (add("prefill_seconds") + add("encode_seconds") + add("decode_seconds")) / add("total"),
        "cached_prompt_share": add("cached_prompt_tokens") / add("prompt_tokens"),
    }


def first_chunk(report: Report, phase: str) -> float:
    return statistics.median(run.first_chunk for run in report.runs if run.phase == phase)


def ratios(ours: Report, peer: Report) -> dict[str, float]:
    """How many times as long ``peer`` takes to the end, for each phase; a single document has no warm-schema."""
    known = dict.fromkeys(run.phase for run in ours.runs if run.phase != CACHED)
    return {phase: total(peer, phase) / total(ours, phase) for phase in known}


def main(
    documents: Annotated[list[Path] | None, typer.Argument(help="Documents; default: five invoices")] = None,
    schema: Annotated[Path | None, typer.Option(help="JSON schema of the documents")] = None,
    model: Annotated[
        str | None, typer.Option(help=f"Model name or path of a GGUF file; default: {STARTER}, for curves {SMALL}")
    ] = None,
    peer: Annotated[bool, typer.Option(help="Also run llama-cpp-python's own path")] = True,
    peers: Annotated[bool, typer.Option(help="Also run Outlines and llama.cpp's server engine (not on a GPU)")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line")] = False,
    scaling: Annotated[
        Path | None, typer.Option(help="Measure how time grows instead: scaling.json and scaling.svg in this folder")
    ] = None,
) -> None:
    """Speed and memory of this engine beside llama-cpp-python's own JSON path.

    Without arguments: the five invoices of ../shared/eval/retab_schema_quality with enum.json where that folder is,
    else the generated sample invoice.
    """
    if scaling is not None:
        from bench_scaling import measure as measure_curves

        report = measure_curves(scaling, model or SMALL, installed(STARTER).path, say=print)
        if as_json:
            print(json.dumps(report))
        return
    model = model or STARTER
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
        others = comparable(PEERS) if peers else PEERS[:1] if peer else ()
        reports = measure([OURS, *others], model, schema, documents)
    model_bytes = installed(model).path.stat().st_size
    show(reports, model_bytes)
    if as_json:
        summary: dict[str, Any] = {"model_bytes": model_bytes, "reports": [asdict(report) for report in reports]}
        summary["figures"] = figures(reports[0])
        summary["ratios"] = {report.engine: ratios(reports[0], report) for report in reports[1:]}
        print(json.dumps(summary))


def installed(model: str) -> InstalledModel:
    from local_retab import Settings
    from local_retab.service import ExtractionService

    settings = Settings.from_environment()
    return ExtractionService(settings).store.resolve(model, settings)


def comparable(peers: tuple[str, ...]) -> tuple[str, ...]:
    """Those of ``peers`` that run on the device that this engine runs on."""
    from local_retab import Settings
    from local_retab.engine.opening import on_gpu

    if not on_gpu(Settings.from_environment()):
        return peers
    print(f"bench: {PEERS[2]} is left out: the wheel of it runs on processors alone.", file=sys.stderr)
    return tuple(peer for peer in peers if peer != PEERS[2])


if __name__ == "__main__":
    typer.run(main)
