"""``local-retab tune``: what it prints and keeps, on made-up timings."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from scripted_cli import Inputs, Result

from local_retab.engine import opening, tuning
from local_retab.engine.tuning import Trial, Tuning

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def timings(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(_open: object, tuning: Tuning) -> Trial:
        return Trial(tuning, 0.00004, 0.05 if tuning.flash_attention else 0.25)

    monkeypatch.setattr(tuning, "measure", measure)


def test_the_fastest_is_kept(run: Run, inputs: Inputs) -> None:
    result = run("tune", "--model", inputs.model)
    header, *rows = result.out.splitlines()
    assert (result.code, header.split()[:3]) == (0, ["THREADS", "CHUNK", "ATTENTION"])
    assert [row.split()[2:] for row in rows if row.endswith("chosen")] == [["flash", "0.04", "50.00", "chosen"]]
    assert "tuning.json" in result.err


def test_json_has_all_trials(run: Run, inputs: Inputs) -> None:
    found = json.loads(run("tune", "--model", inputs.model, "--json").out)
    assert found["best"] in found["trials"]
    assert found["best"]["tuning"]["flash_attention"] is True
    assert len(found["trials"]) > 4


def test_a_small_context_is_no_hindrance(run: Run, inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts = set()

    def measure(open_backend: Callable[[Tuning], object], tuning: Tuning) -> Trial:
        open_backend(tuning)
        return Trial(tuning, 1.0, 1.0)

    monkeypatch.setattr(tuning, "measure", measure)
    monkeypatch.setattr(
        opening, "open_backend", lambda _model, settings, _tuning: contexts.add(settings.context_tokens)
    )
    monkeypatch.setenv("LOCAL_RETAB_CONTEXT_TOKENS", "300")
    assert run("tune", "--model", inputs.model).code == 0
    assert contexts == {tuning.CONTEXT_TOKENS}


def test_a_model_that_is_not_there(run: Run) -> None:
    result = run("tune", "--model", "nothing")
    assert result.code == 5
    assert "nothing" in result.err
