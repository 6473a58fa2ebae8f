"""Log-probabilities under the mask, and drawing tokens."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scripted_backend import ScriptedBackend

from local_retab.engine.constraint import Constraint
from local_retab.engine.sampler import Sampling, choose
from local_retab.errors import EngineError
from local_retab.schema import compile_grammar

SIZE = 258
DIGITS = Constraint.compile(
    compile_grammar({"type": "integer", "minimum": 1, "maximum": 9}), ScriptedBackend(lambda _: "").grammar_tokenizer()
)
ONE_TO_NINE = list(b"123456789")


def logits_of(weights: dict[str, float], others: float = 50.0) -> NDArray[np.float32]:
    """Logits that give characters these weights; all other tokens are likelier but not allowed."""
    logits = np.full(SIZE, others, dtype=np.float32)
    for token in ONE_TO_NINE:
        logits[token] = -np.inf
    for char, weight in weights.items():
        logits[ord(char)] = math.log(weight)
    return logits


def test_a_probability_is_that_among_the_allowed_tokens() -> None:
    choice = choose(logits_of({"1": 0.2, "7": 0.6}), DIGITS.copy())
    assert choice.token == ord("7")
    assert math.exp(choice.logprob) == pytest.approx(0.75)


@given(st.lists(st.floats(-30, 30, width=32), min_size=9, max_size=9))
@settings(max_examples=200, deadline=None)
def test_the_probabilities_of_all_tokens_make_one(values: list[float]) -> None:
    logits = np.full(SIZE, 99.0, dtype=np.float32)
    logits[ONE_TO_NINE] = values
    total = 0.0
    for token in ONE_TO_NINE:
        alone = logits.copy()
        # The same row with the others' ranks swapped away: each token is chosen once.
        order = Sampling(seed=0, temperature=1e-6, min_p=1.0)
        raised = choose(alone, DIGITS.copy(), order, order.generator())
        total += math.exp(float(logits[token] - logits[raised.token]) + raised.logprob)
    assert total == pytest.approx(1.0, rel=1e-4)


def draws(sampling: Sampling, count: int) -> list[str]:
    random = sampling.generator()
    logits = logits_of({"1": 0.50, "2": 0.30, "3": 0.19, "4": 0.01})
    return [chr(choose(logits, DIGITS.copy(), sampling, random).token) for _ in range(count)]


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    assert draws(Sampling(7), 50) == draws(Sampling(7), 50)
    assert draws(Sampling(7), 50) != draws(Sampling(8), 50)


def test_tokens_are_drawn_at_their_probability_and_unlikely_ones_never() -> None:
    found = draws(Sampling(1, temperature=1.0, min_p=0.05), 4000)
    assert set(found) == {"1", "2", "3"}
    for char, share in (("1", 50 / 99), ("2", 30 / 99), ("3", 19 / 99)):
        assert found.count(char) / 4000 == pytest.approx(share, abs=0.03)


def test_a_low_temperature_prefers_the_likeliest() -> None:
    assert set(draws(Sampling(1, temperature=0.05), 200)) == {"1"}


def test_the_probability_of_a_drawn_token_is_the_models() -> None:
    sampling = Sampling(3, temperature=0.2)
    choice = choose(logits_of({"5": 1.0}), DIGITS.copy(), sampling, sampling.generator())
    assert (choice.token, choice.logprob) == (ord("5"), pytest.approx(0.0))


def test_what_is_not_possible_is_even() -> None:
    assert choose(logits_of({}), DIGITS.copy()).logprob == pytest.approx(-math.log(9))


def test_nan_is_an_error() -> None:
    logits = logits_of({"1": 1.0})
    logits[0] = np.nan
    with pytest.raises(EngineError, match="NaN"):
        choose(logits, DIGITS.copy())
