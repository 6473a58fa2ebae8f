"""Choosing how a model is run: the choice on made-up timings, its file, and a real backend that is timed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scripted_backend import ScriptedBackend

from local_retab.engine import opening
from local_retab.engine.opening import open_backend, tuning_of
from local_retab.engine.tuning import (
    CHUNKS,
    PROMPT_TOKENS,
    REPEATS,
    STEPS,
    Trial,
    Tuning,
    Tunings,
    default_tuning,
    measure,
    tune,
)
from local_retab.errors import SettingsError
from local_retab.settings import Settings

START = Tuning(threads=4, prefill_chunk_tokens=128, flash_attention=False)


def timed(prefill: Callable[[Tuning], float], step: Callable[[Tuning], float]) -> Callable[[Tuning], Trial]:
    return lambda tuning: Trial(tuning, prefill(tuning), step(tuning))


def best(measured: Callable[[Tuning], Trial]) -> Tuning:
    *tried, last = tune(START, measured, cores=4)
    assert last in tried
    assert tried[0].tuning == START
    return last.tuning


def test_the_defaults_stay_where_nothing_is_clearly_faster() -> None:
    assert best(timed(lambda _: 0.01, lambda tuning: 0.1 if tuning == START else 0.097)) == START


def test_each_is_chosen_by_what_an_extraction_takes() -> None:
    assert best(timed(lambda _: 0.001, lambda tuning: 0.1 * tuning.threads)).threads == 1
    chunky = best(timed(lambda tuning: 1 / tuning.prefill_chunk_tokens, lambda _: 0.01))
    assert chunky == Tuning(4, max(CHUNKS), flash_attention=False)
    assert best(timed(lambda _: 0.001, lambda tuning: 0.1 if tuning.flash_attention else 0.2)).flash_attention
    # Slower prompts by more than the steps gain.
    assert not best(timed(lambda tuning: 1 + tuning.flash_attention, lambda _: 0.001)).flash_attention


def test_what_was_better_is_kept_for_what_is_varied_next() -> None:
    seen: list[Tuning] = []

    def measured(tuning: Tuning) -> Trial:
        seen.append(tuning)
        return Trial(tuning, 0.01 / (1 + tuning.flash_attention), 0.1 * tuning.threads)

    *_, last = tune(START, measured, cores=4)
    assert last.tuning == Tuning(1, 128, flash_attention=True)
    assert len(seen) == len(set(seen))
    assert {each.threads for each in seen} == {1, 2, 4, os.cpu_count()}


def model_at(path: Path, sha256: str | None = "a" * 64) -> Any:
    return SimpleNamespace(path=path, sha256=sha256, entry=None, projector=None)


def test_the_choice_is_kept_by_model_and_device(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    tunings, model, other = Tunings(settings), model_at(tmp_path), model_at(tmp_path, "b" * 64)
    assert tunings.get(model, gpu=False) is None
    tunings.put(model, START, gpu=False)
    faster = Tuning(2, 64, flash_attention=True)
    tunings.put(other, faster, gpu=False)
    assert Tunings(settings).get(model, gpu=False) == START
    assert Tunings(settings).get(other, gpu=False) == faster
    assert tunings.get(model, gpu=True) is None


@pytest.mark.parametrize("text", ["", "[]", '{"a": {"threads": 0}}', '{"a": 1}', "\x00"])
def test_a_file_that_was_changed_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "tuning.json").write_text(text)
    with pytest.raises(SettingsError, match=r"tuning\.json cannot be used"):
        Tunings(Settings(home=tmp_path)).get(model_at(tmp_path), gpu=False)


def test_settings_count_for_more_than_what_was_tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "on_gpu", lambda settings: False)
    settings, model = Settings(home=tmp_path), model_at(tmp_path)
    assert tuning_of(model, settings) == default_tuning(gpu=False)
    Tunings(settings).put(model, START, gpu=False)
    assert tuning_of(model, settings) == START
    fixed = Settings(home=tmp_path, threads=3, prefill_chunk_tokens=32, flash_attention=True)
    assert tuning_of(model, fixed) == Tuning(3, 32, flash_attention=True)


def test_measuring_reads_a_prompt_by_chunks_and_then_decodes() -> None:
    sizes: list[int] = []
    backend = ScriptedBackend(lambda prompt: "", batch_tokens=512)
    backend.before_decode = lambda batch: sizes.append(len(batch))
    trial = measure(lambda tuning: backend, Tuning(1, 200, flash_attention=False))
    assert sizes == REPEATS * [200, 200, PROMPT_TOKENS - 400, *STEPS * [4]]
    assert trial.prefill > 0
    assert trial.step > 0


@pytest.mark.smol
def test_a_real_model_is_timed(smol: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_retab.engine.tuning.PROMPT_TOKENS", 64)
    monkeypatch.setattr("local_retab.engine.tuning.REPEATS", 1)
    settings = Settings(home=tmp_path, context_tokens=1024)
    for flash in (False, True):
        tuning = Tuning(1, 64, flash_attention=flash)
        trial = measure(lambda chosen: open_backend(model_at(smol), settings, chosen), tuning)
        assert trial.tuning == tuning
        assert trial.seconds > 0
