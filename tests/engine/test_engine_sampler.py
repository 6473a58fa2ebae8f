"""Greedy choice: the cheap way gives what masking gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scripted_backend import ScriptedBackend

from local_retab.engine.constraint import Constraint
from local_retab.engine.sampler import Choice, choose
from local_retab.errors import EngineError
from local_retab.schema import compile_grammar

SIZE = 258
WHOLE = b'{"name":"Ada \xc3\xa9","count":-12,"kind":"new"}'
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "count": {"type": "integer"},
        "kind": {"enum": ["new", "used", "unknown"]},
    },
    "required": ["name", "count", "kind"],
    "additionalProperties": False,
}
CONSTRAINT = Constraint.compile(compile_grammar(SCHEMA), ScriptedBackend(lambda prompt: "").grammar_tokenizer())
# Few distinct values: ties are common.
LOGITS = arrays(np.float32, SIZE, elements=st.sampled_from([-np.inf, -1.5, 0.0, 2.0, 3.0]), fill=st.just(0.0))


@given(LOGITS, st.integers(0, len(WHOLE)))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_the_choice_is_the_maximum_of_the_masked_logits(logits: NDArray[np.float32], length: int) -> None:
    constraint = CONSTRAINT.copy()
    constraint.consume(list(WHOLE[:length]))
    mask = constraint.allowed(SIZE)
    ranked = sorted(np.flatnonzero(mask).tolist(), key=lambda token: (-logits[token], token))
    choice = choose(logits, constraint)
    assert choice.token == ranked[0]
    weights = np.exp(logits[mask].astype(np.float64))
    share = weights.max() / weights.sum() if weights.any() else 1 / len(ranked)
    assert choice.logprob == pytest.approx(np.log(share), abs=1e-5)


def test_what_is_forbidden_counts_for_nothing_however_likely() -> None:
    logits = np.full(SIZE, 80, dtype=np.float32)
    logits[ord("{")] = -80
    assert choose(logits, CONSTRAINT.copy()) == Choice(ord("{"), 0.0)


def test_the_constraint_is_where_it_was() -> None:
    constraint = CONSTRAINT.copy()
    logits = np.arange(SIZE, dtype=np.float32)
    assert choose(logits, constraint).token == choose(logits, constraint).token == ord("{")


def test_logits_may_be_longer_than_the_vocabulary() -> None:
    logits = np.zeros(SIZE + 64, dtype=np.float32)
    logits[-1] = 9.0
    assert choose(logits, CONSTRAINT.copy()).token == ord("{")


def test_nan_is_refused_wherever_it_stands() -> None:
    for place, value in ((0, np.nan), (100, np.nan), (SIZE - 1, np.nan), (100, np.inf)):
        logits = np.zeros(SIZE, dtype=np.float32)
        logits[place] = value
        with pytest.raises(EngineError, match="NaN"):
            choose(logits, CONSTRAINT.copy())


def test_a_grammar_without_a_way_on_is_an_error() -> None:
    class Stuck:
        def allows(self, token: int) -> bool:
            return False

        def allowed(self, size: int) -> NDArray[np.bool_]:
            return np.zeros(size, dtype=np.bool_)

    with pytest.raises(EngineError, match="no token"):
        choose(np.zeros(SIZE, dtype=np.float32), Stuck())  # type: ignore[arg-type]
