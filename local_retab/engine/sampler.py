"""The choice of the next token from a row of logits, under a grammar."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from local_retab.errors import EngineError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from local_retab.engine.constraint import Constraint


_FORBIDDEN = np.float32(1e30)
"""Taken off the logit of what the grammar forbids."""
_REACH = np.float32(24)
"""How far below the best logit the others are counted: e^-24 times 150,000 tokens are a hundred-thousandth of it."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn: softmax at ``temperature``, without tokens below ``min_p`` times the most likely one.

    The same seed draws the same tokens from the same logits. Method: min-p sampling (arXiv 2407.01082).
    """

    seed: int
    temperature: float = 0.3
    min_p: float = 0.05

    def generator(self) -> np.random.Generator:
        """The random numbers of one generation."""
        return np.random.default_rng(self.seed)


@dataclass(frozen=True, slots=True)
class Choice:
    """A token, and the natural logarithm of its probability, at temperature 1, among those that the grammar allows."""

    token: int
    logprob: float


def choose(
    logits: NDArray[np.float32],
    constraint: Constraint,
    sampling: Sampling | None = None,
    random: np.random.Generator | None = None,
) -> Choice:
    """The most likely allowed token, the lowest id on a tie; with ``sampling``, one drawn by ``random``.

    ``logits`` has shape (vocabulary,). Raises EngineError for NaN and where the grammar allows nothing.
    """
    if not logits[np.argmax(logits)] < np.inf:  # NaN counts as the largest
        raise EngineError("The model computed NaN; its file may be damaged. Check it with `local-retab models verify`.")
    allowed = constraint.allowed(logits.size)
    # Arithmetic over the whole row: gathering what is allowed takes twice as long where most of it is.
    scores = np.multiply(~allowed, _FORBIDDEN, dtype=np.float32)
    np.subtract(logits, scores, out=scores)
    best = int(np.argmax(scores))
    if not allowed[best] or np.isneginf(scores[best]):
        return _any_of(allowed)
    counted = scores[np.flatnonzero(scores >= scores[best] - _REACH)]
    total = float(np.exp(counted - scores[best]).sum())
    token = best if sampling is None or random is None else _draw(scores, sampling, random)
    return Choice(token, float(scores[token] - scores[best]) - math.log(total))


def _any_of(allowed: NDArray[np.bool_]) -> Choice:
    """The first allowed token, where the model gives none of them any probability."""
    tokens = np.flatnonzero(allowed)
    if tokens.size == 0:
        raise EngineError("The grammar allows no token here, not even the end.")
    return Choice(int(tokens[0]), -math.log(tokens.size))


def _draw(scores: NDArray[np.float32], sampling: Sampling, random: np.random.Generator) -> int:
    """A token drawn at its probability; ``scores`` has shape (vocabulary,)."""
    top = np.max(scores)
    near = np.flatnonzero(scores >= top + sampling.temperature * math.log(sampling.min_p))
    weights = np.exp((scores[near] - top) / sampling.temperature).astype(np.float64)
    return int(near[np.searchsorted(np.cumsum(weights), random.random() * weights.sum(), side="right")])
