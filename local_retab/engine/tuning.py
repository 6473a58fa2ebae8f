"""Threads, chunk of prefill and attention kernel for one model on one machine, chosen by timing a few decode calls.

One thing is varied at a time from the defaults, and a default is left only for what is clearly faster: neighbours of
this machine make single timings vary. The type of the KV cache is not varied, as it changes answers.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import count
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from local_retab.engine import hardware
from local_retab.engine.backend import BatchToken
from local_retab.errors import SettingsError
from local_retab.weights.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from local_retab.engine.backend import Backend
    from local_retab.settings import Settings
    from local_retab.weights import InstalledModel

CLEARLY = 0.95  # of the time of what was best so far
CHUNKS = (64, 128, 256, 512)
PROMPT_TOKENS = 512
STEPS, STEP_TOKENS = 8, 4
CONTEXT_TOKENS = PROMPT_TOKENS + STEPS * STEP_TOKENS  # that a measurement needs
REPEATS = 3
READ, WRITTEN = 1000, 100  # prompt tokens and decode calls of the extraction that is to be fast


@dataclass(frozen=True, slots=True)
class Tuning:
    """How an engine is opened. ``threads`` of both prefill and decoding."""

    threads: Annotated[int, Field(gt=0)]
    prefill_chunk_tokens: Annotated[int, Field(ge=16)]
    flash_attention: bool


_FILE = TypeAdapter(dict[str, Tuning])


@dataclass(frozen=True, slots=True)
class Trial:
    """What was tried, and the median seconds of a prompt token and of a decode call of four tokens."""

    tuning: Tuning
    prefill: float
    step: float

    @property
    def seconds(self) -> float:
        """Of an extraction with READ prompt tokens and WRITTEN decode calls."""
        return READ * self.prefill + WRITTEN * self.step


def default_tuning(*, gpu: bool, own_attention: bool = False) -> Tuning:
    """Without measuring: on a CPU 128 tokens at once are as fast as 512, and nobody waits four times as long for a
    step to end; and llama.cpp's fused attention is slower, by 7 to 19 % in calls of 1 to 8 tokens, where it is not ours
    (``kernels.attends``), which is faster than both."""
    return Tuning(hardware.physical_cores(), 512 if gpu else 128, flash_attention=gpu or own_attention)


def tune(start: Tuning, measure: Callable[[Tuning], Trial], *, cores: int) -> Iterator[Trial]:
    """Trials, the best of them last; each is measured when it is asked for."""
    best = measure(start)
    tried = {start}
    yield best
    varied: tuple[tuple[str, Iterable[Any]], ...] = (
        ("threads", sorted({1, max(1, cores // 2), cores, os.cpu_count() or 1})),
        ("prefill_chunk_tokens", CHUNKS),
        ("flash_attention", (False, True)),
    )
    for name, values in varied:
        for value in values:
            candidate = replace(best.tuning, **{name: value})
            if candidate in tried:
                continue
            tried.add(candidate)
            trial = measure(candidate)
            yield trial
            if trial.seconds < CLEARLY * best.seconds:
                best = trial
    yield best


def measure(open_backend: Callable[[Tuning], Backend], tuning: Tuning) -> Trial:
    """Open a backend with ``tuning``, of CONTEXT_TOKENS or more, and time it. Raises ModelLoadError and EngineError."""
    with closing(open_backend(tuning)) as backend:
        text = "The quick brown fox jumps over the lazy dog. " * PROMPT_TOKENS
        tokens = backend.tokenize(text, special=False)[:PROMPT_TOKENS]
        prefills, steps = [], []
        for _ in range(REPEATS):
            places = count()
            prefill = 0.0
            for begin in range(0, PROMPT_TOKENS, tuning.prefill_chunk_tokens):
                prefill += _decode(backend, tokens[begin : begin + tuning.prefill_chunk_tokens], places)
            prefills.append(prefill / PROMPT_TOKENS)
            steps += [_decode(backend, tokens[:STEP_TOKENS], places) for _ in range(STEPS)]
            backend.cut(0, 0)
    return Trial(tuning, sorted(prefills)[REPEATS // 2], sorted(steps)[len(steps) // 2])


def _decode(backend: Backend, tokens: list[int], places: Iterator[int]) -> float:
    batch = [BatchToken(token, next(places), 0, index == len(tokens) - 1) for index, token in enumerate(tokens)]
    started = time.perf_counter()
    backend.decode(batch)
    backend.logits(len(batch) - 1)
    return time.perf_counter() - started


class Tunings:
    """What was chosen for models on this machine, in a small file under LOCAL_RETAB_HOME."""

    def __init__(self, settings: Settings) -> None:
        self.path: Path = settings.home / "tuning.json"

    def get(self, model: InstalledModel, *, gpu: bool) -> Tuning | None:
        """Raises SettingsError for a file that is not as ``put`` writes it."""
        return self._read().get(_key(model, gpu=gpu))

    def put(self, model: InstalledModel, tuning: Tuning, *, gpu: bool) -> None:
        """Raises SettingsError as ``get`` does."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        known = {**self._read(), _key(model, gpu=gpu): tuning}
        write_text(self.path, _FILE.dump_json(known, indent=2).decode() + "\n")

    def _read(self) -> dict[str, Tuning]:
        try:
            return _FILE.validate_json(self.path.read_bytes(), strict=True)
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as error:
            raise self._broken(error) from error

    def _broken(self, reason: Exception) -> SettingsError:
        return SettingsError(
            f"{self.path} cannot be used ({reason}). Delete it, and run `local-retab tune` again if it is wanted."
        )


def _key(model: InstalledModel, *, gpu: bool) -> str:
    """What timings depend on: the machine, llama.cpp, and the model."""
    place = f"{platform.machine()} {hardware.physical_cores()} cores {'gpu' if gpu else 'cpu'}"
    weights = model.sha256 or f"{model.path.resolve()} {model.path.stat().st_size}"
    return f"{place} llama-cpp-python {version('llama-cpp-python')} {weights}"
