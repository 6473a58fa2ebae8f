"""Which JSON Schemas can be used: planned, compiled, and held to, on a folder of schemas with instances.

A schema is usable when it is accepted and every valid instance can be returned: its text is accepted token by token
by the grammar of the first attempt or by that of a further one, comes back as the instance, and passes the
validation. An invalid instance must be stopped by a grammar or by the validation. A schema that is refused because no
value is under it is usable when it has no valid instance. Every schema runs in a process of its own, whose time and
memory are measured.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import signal
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from llguidance import LLTokenizer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from schema_closing import Cuts, cut_and_close
from schema_writing import canonical, same, text, written

from local_retab.engine.constraint import Constraint
from local_retab.errors import LocalRetabError, OutputValidationError, UnsatisfiableSchemaError
from local_retab.schema import SchemaPlan, load_schema, plan_schema
from local_retab.settings import Settings

MAX_SECONDS = 5.0
MAX_BYTES = 1024**3
PATIENCE_SECONDS = 60
ANNOTATION_ONLY = "only an annotation by default"
"""In the official suite: for implementations that do not assert formats. This one does, as its optional part asks."""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(slots=True)
class Report:
    """What became of one schema."""

    name: str
    usable: bool = False
    usable_first_attempt: bool = False
    refused: str | None = None
    refusal_has_path: bool = False
    crashed: str | None = None
    planning_seconds: float = 0.0
    seconds: float = 0.0
    peak_bytes: int = 0
    valid: int = 0
    invalid: int = 0
    invalid_returned: list[int] = field(default_factory=list)
    skipped_tests: int = 0
    problems: list[str] = field(default_factory=list)
    deferred: list[str] = field(default_factory=list)
    cuts: Cuts = field(default_factory=Cuts)

    @property
    def within_limits(self) -> bool:
        return self.planning_seconds <= MAX_SECONDS and self.peak_bytes <= MAX_BYTES


@app.command(help=__doc__)
def main(
    folder: Annotated[Path, typer.Argument(help="JSON files: one {schema, tests} each, or a list of such groups")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line")] = False,
    cuts: Annotated[int, typer.Option(help="Also cut each valid instance at so many places and close it")] = 0,
    seed: Annotated[str, typer.Option(help="Of the places that are cut")] = "",
    model: Annotated[Path | None, typer.Option(help="GGUF file whose vocabulary to use; unset: bytes")] = None,
    details: Annotated[Path | None, typer.Option(help="Where to write a JSON line for each schema")] = None,
) -> None:
    groups = [group for path in sorted(folder.rglob("*.json")) for group in _groups(path, folder)]
    if not groups:
        raise typer.BadParameter(f"no JSON files with schemas and tests in {folder}")
    vocabulary = _vocabulary(model)
    _measure(
        "imports", {"type": "object"}, [{"valid": True, "data": {}}], vocabulary, 1, ""
    )  # once, not in every process
    console = Console(stderr=True)
    reports = [_isolated(*group, vocabulary, cuts, seed) for group in track(groups, "schemas", console=console)]
    if details is not None:
        details.write_text("".join(json.dumps(asdict(report)) + "\n" for report in reports))
    _print(console, reports)
    if as_json:
        print(json.dumps(_summary(reports, cuts)))


def _groups(path: Path, folder: Path) -> list[tuple[str, Any, list[dict[str, Any]]]]:
    """(name, schema, tests) of each group of a file; other JSON files have none."""
    found = json.loads(path.read_text(encoding="utf-8"))
    name = str(path.relative_to(folder).with_suffix(""))
    entries = found if isinstance(found, list) else [found]
    named = [(f"{name}#{index}" if isinstance(found, list) else name, entry) for index, entry in enumerate(entries)]
    return [(label, entry["schema"], entry["tests"]) for label, entry in named if "tests" in entry]


def _vocabulary(model: Path | None) -> Any:
    """The tokenizer that grammars run over."""
    if model is None:
        return LLTokenizer("byte")
    from local_retab.engine.llama import LlamaBackend

    backend = LlamaBackend(model, context_tokens=256, batch_tokens=32, sequences=1, threads=1)
    atexit.register(backend.close)  # the vocabulary points into it
    return backend.grammar_tokenizer()


def _isolated(name: str, schema: Any, tests: list[dict[str, Any]], vocabulary: Any, cuts: int, seed: str) -> Report:
    """Measure one schema in a forked process, so that its time and its memory are its own."""
    reading, writing = os.pipe()
    started = time.perf_counter()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.alarm(PATIENCE_SECONDS)
        with os.fdopen(writing, "w") as pipe:
            json.dump(asdict(_measure(name, schema, tests, vocabulary, cuts, seed)), pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    _, status, usage = os.wait4(child, 0)
    if status != 0:
        report = Report(name, crashed=f"ended with status {status}", planning_seconds=time.perf_counter() - started)
    else:
        known = json.loads(answer)
        report = Report(**{**known, "cuts": Cuts(**known["cuts"])})
    report.seconds = time.perf_counter() - started
    report.peak_bytes = usage.ru_maxrss * 1024
    return report


def _measure(name: str, schema: Any, tests: list[dict[str, Any]], vocabulary: Any, cuts: int, seed: str) -> Report:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    report = Report(name)
    if isinstance(schema, bool):  # requests carry objects
        schema = {"allOf": [schema]}
    counted = [(at, test) for at, test in enumerate(tests) if ANNOTATION_ONLY not in test.get("description", "")]
    report.skipped_tests = len(tests) - len(counted)
    report.valid = sum(test["valid"] for _, test in counted)
    report.invalid = len(counted) - report.valid
    settings = Settings()
    started = time.process_time()  # of this process: what else the machine does is not counted
    try:
        plans = _plans(schema, settings)
        grammars = [Constraint.compile(plan.grammar, vocabulary) for plan in plans]
    except LocalRetabError as error:
        report.planning_seconds = time.process_time() - started
        report.refused = f"{type(error).__name__}: {error.message}"
        report.refusal_has_path = any("path" in problem for problem in error.details.get("problems", ()))
        report.usable = report.usable_first_attempt = isinstance(error, UnsatisfiableSchemaError) and not report.valid
        return report
    report.planning_seconds = time.process_time() - started
    report.deferred = [f"{item.path} {item.keyword}: {item.reason}" for item in plans[0].deferred]
    attempts = list(zip(plans, grammars, strict=True))
    first = True
    for at, test in counted:
        returned = [_returned(plan, grammar, vocabulary, test["data"]) for plan, grammar in attempts]
        if test["valid"]:
            first = first and returned[0] is None
            if all(returned):
                report.problems.append(f"valid instance {at}: {returned[-1]}")
        elif not all(returned):
            report.invalid_returned.append(at)
        if test["valid"] and cuts:
            for (plan, grammar), problem in zip(attempts, returned, strict=True):
                if problem is None:
                    answer = text(written(plan, canonical(test["data"])))
                    cut_and_close(report.cuts, plan, grammar, vocabulary, answer, cuts, seed=f"{seed}{name} {at}")
                    break
    report.usable = not report.problems
    report.usable_first_attempt = report.usable and first
    return report


def _plans(schema: Any, settings: Settings) -> list[SchemaPlan]:
    """The plans of the attempts that an extraction has."""
    plan = plan_schema(load_schema(schema, settings=settings), settings=settings)
    return [plan] if plan.wide else [plan, plan.widened(settings=settings)]


def _returned(plan: SchemaPlan, grammar: Constraint, vocabulary: Any, value: Any) -> str | None:
    """None when ``value`` can be returned; else what stops it."""
    found = written(plan, canonical(value))
    shown = plan.to_caller(found)
    if not same(shown, value):
        return "it would come back as another value"
    try:
        plan.validate(shown)
    except OutputValidationError as error:
        return error.message
    data = text(found).encode("utf-8", "surrogatepass")
    constraint = grammar.copy()
    taken = 0
    for token in vocabulary.tokenize_bytes(data):
        if not constraint.allows(token):
            return f"the grammar refuses {data[taken : taken + 20]!r} after {data[max(0, taken - 40) : taken]!r}"
        constraint.consume([token])
        taken += len(vocabulary.decode_bytes([token]))
    return None if constraint.accepting or constraint.finished else "the grammar does not let it end"


def _summary(reports: list[Report], cuts: int) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "schemas": len(reports),
        "usable": sum(report.usable for report in reports),
        "usable_first_attempt": sum(report.usable_first_attempt for report in reports),
        "invalid_returned": sum(len(report.invalid_returned) for report in reports),
        "valid_instances": sum(report.valid for report in reports),
        "invalid_instances": sum(report.invalid for report in reports),
        "refused": sum(report.refused is not None and not report.usable for report in reports),
        "refused_without_path": sum(
            report.refused is not None and not report.refusal_has_path for report in reports if not report.usable
        ),
        "crashed": sum(report.crashed is not None for report in reports),
        "over_limits": sum(not report.within_limits for report in reports),
        "slowest_planning_seconds": round(max(report.planning_seconds for report in reports), 3),
        "largest_peak_mib": round(max(report.peak_bytes for report in reports) / 2**20),
        "skipped_tests": sum(report.skipped_tests for report in reports),
        "without_deferred_keywords": sum(not report.deferred for report in reports if not report.refused),
    }
    if cuts:
        total = Cuts()
        for report in reports:
            total.add(report.cuts)
        summary["cuts"] = asdict(total)
    return summary


def _print(console: Console, reports: list[Report]) -> None:
    """The schemas that are not usable, and what is deferred."""
    table = Table("schema", "what stops it", title="Not usable")
    for report in reports:
        if not report.usable or report.invalid_returned or not report.within_limits:
            returned = [f"invalid instances returned: {report.invalid_returned}"] if report.invalid_returned else []
            reasons = [report.crashed, report.refused, *report.problems[:2], *returned]
            limits = [] if report.within_limits else [f"{report.planning_seconds:.1f} s, {report.peak_bytes >> 20} MiB"]
            table.add_row(report.name, "\n".join(reason for reason in [*reasons, *limits] if reason))
    console.print(table)
    deferred = Counter(item.split(" ", 1)[1] for report in reports for item in set(report.deferred))
    for reason, count in deferred.most_common(20):
        console.print(f"{count:5} left to validation: {reason}", markup=False)


if __name__ == "__main__":
    app()
