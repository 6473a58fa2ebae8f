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

CALIBRATION: Sequence[tuple[float, float]] = ((0.0, 0.0), (1.0, 1.0))
"""Raw probability and measured share of right values, between which is interpolated; both grow."""


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
    for (x0, y0), (x1, y1) in pairwise(CALIBRATION):
        if raw <= x1:
            return round(y0 + (y1 - y0) * (raw - x0) / (x1 - x0), 4)
    return CALIBRATION[-1][1]
