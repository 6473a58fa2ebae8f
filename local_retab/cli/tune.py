"""``local-retab tune``: find the fastest way to run a model on this machine, and keep to it from then on."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from local_retab.cli.listing import columns
from local_retab.cli.models import open_store
from local_retab.cli.output import write_line
from local_retab.cli.terminal import has_screen, printable, say, stderr_console, to_json

if TYPE_CHECKING:
    from local_retab.engine.tuning import Trial

EPILOG = "Example: local-retab tune --model qwen2.5-coder-1.5b-instruct"


def tune(
    model: Annotated[
        str | None, typer.Option(help="Installed model, or path of a GGUF file. Default: retab-small.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all trials as JSON.")] = False,
) -> None:
    """Time threads, prompt chunks and attention kernels with a model, and use the fastest from now on.

    Takes minutes (four for 1.5 billion parameters on two cores); nothing else should run meanwhile. Settings in the
    environment count for more.
    """
    from local_retab.engine import tuning
    from local_retab.engine.hardware import physical_cores
    from local_retab.engine.kernels import attends
    from local_retab.engine.opening import on_gpu, open_backend
    from local_retab.settings import Settings
    from local_retab.wire import DEFAULT_MODEL

    settings = Settings.from_environment()
    found = open_store(settings).resolve(DEFAULT_MODEL if model is None else model, settings)
    gpu = on_gpu(settings)
    trials: list[Trial] = []

    roomy = settings.model_copy(update={"context_tokens": max(settings.context_tokens, tuning.CONTEXT_TOKENS)})

    def measure(candidate: tuning.Tuning) -> Trial:
        return tuning.measure(lambda chosen: open_backend(found, roomy, chosen), candidate)

    start = tuning.default_tuning(gpu=gpu, own_attention=not gpu and attends(found.path))
    status = stderr_console().status(f"timing {printable(found.name)}") if has_screen() else nullcontext()
    with status:
        trials.extend(tuning.tune(start, measure, cores=physical_cores()))
    *tried, best = trials
    tuning.Tunings(settings).put(found, best.tuning, gpu=gpu)
    if as_json:
        write_line(to_json({"model": found.name, "trials": [asdict(each) for each in tried], "best": asdict(best)}))
        return
    header = ("THREADS", "CHUNK", "ATTENTION", "PROMPT MS/TOKEN", "STEP MS", "")
    rows = [
        (
            str(each.tuning.threads),
            str(each.tuning.prefill_chunk_tokens),
            "flash" if each.tuning.flash_attention else "plain",
            f"{1000 * each.prefill:.2f}",
            f"{1000 * each.step:.2f}",
            "chosen" if each == best else "",
        )
        for each in tried
    ]
    for line in columns([header, *rows]):
        write_line(line)
    say(f"kept for {printable(found.name)} in {tuning.Tunings(settings).path}")
