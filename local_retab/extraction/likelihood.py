"""How likely each value of one answer is right, from the probabilities of its tokens.

Tokens that the grammar forced say nothing and are left out. The raw probability of a leaf, the product over its
tokens, is mapped to the share of right values among leaves with such a probability, as measured on documents with
known answers (docs/accuracy.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from local_retab.schema.dialect import escape

if TYPE_CHECKING:
    from pydantic import JsonValue

CALIBRATION: Sequence[tuple[float, float]] = (
    (0.0, 0.5586), (0.378, 0.5662), (0.6979, 0.7678), (0.8853, 0.8423), (0.9665, 0.9417), (0.9841, 0.97),
    (0.9966, 0.9999), (1.0, 1.0),
)  # fmt: skip
"""Raw probability and measured share of right values, between which is interpolated; both grow. From
``scripts/calibrate --fit`` on 384 values of the starter model (docs/accuracy.md)."""


@dataclass(slots=True)
class _Leaf:
    logprob: float = 0.0
    tokens: int = 0


class TokenLikelihoods:
    """Collects the log-probabilities of the chosen tokens by the JSON pointer of the value that they are part of."""

    def __init__(self) -> None:
        self._leaves: dict[str, _Leaf] = {}

    def add(self, path: str, logprob: float) -> None:
        """A token that was chosen while the value at ``path`` was in course or awaited."""
        leaf = self._leaves.setdefault(path, _Leaf())
        leaf.logprob += logprob
        leaf.tokens += 1

    def tree(self, value: JsonValue, path: str = "") -> JsonValue:
        """``value`` with the likelihood of each leaf, from 0 to 1; 1 where the schema left no choice."""
        if isinstance(value, dict):
            return {key: self.tree(item, f"{path}/{escape(key)}") for key, item in value.items()}
        if isinstance(value, list):
            return [self.tree(item, f"{path}/{index}") for index, item in enumerate(value)]
        leaf = self._leaves.get(path)
        return 1.0 if leaf is None else calibrated(math.exp(leaf.logprob))


def calibrated(raw: float) -> float:
    """The measured share of right values among leaves of this raw probability."""
    return round(interpolated(raw, CALIBRATION), 4)


def interpolated(at: float, points: Sequence[tuple[float, float]]) -> float:
    """The height at ``at`` of the line through ``points``, which are in order."""
    for (x0, y0), (x1, y1) in pairwise(points):
        if at <= x1:
            return y0 + (y1 - y0) * (at - x0) / (x1 - x0) if x1 > x0 else y1
    return points[-1][1]


def raw_of(likelihood: float) -> float:
    """The raw probability that has this likelihood, for fitting the calibration anew; of several the middle one."""
    low = interpolated(likelihood, [(y, x) for x, y in CALIBRATION])
    high = 1 - interpolated(1 - likelihood, [(1 - y, 1 - x) for x, y in reversed(CALIBRATION)])
    return (low + high) / 2
