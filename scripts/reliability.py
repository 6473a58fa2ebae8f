"""How far likelihoods can be relied on: bins of equal width, and the expected calibration error (ECE)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

BINS = 10


class Leaf(NamedTuple):
    """The likelihood of a scored value, and whether the value is right."""

    likelihood: float
    right: bool


class Bin(NamedTuple):
    """The values whose likelihoods lie between ``low`` and ``high``: how many, their mean, and the share right."""

    low: float
    high: float
    count: int
    mean: float
    right: float


def bins(found: Sequence[Leaf]) -> list[Bin]:
    """The bins that are not empty, growing."""
    filled: list[Bin] = []
    for index in range(BINS):
        inside = [leaf for leaf in found if min(int(leaf.likelihood * BINS), BINS - 1) == index]
        if inside:
            mean = sum(leaf.likelihood for leaf in inside) / len(inside)
            share = sum(leaf.right for leaf in inside) / len(inside)
            filled.append(Bin(index / BINS, (index + 1) / BINS, len(inside), mean, share))
    return filled


def calibration_error(found: Sequence[Leaf]) -> float:
    """The mean distance of likelihood and share right over the bins, each with the weight of its values."""
    return sum(abs(each.mean - each.right) * each.count / len(found) for each in bins(found))


def table(found: Sequence[Leaf]) -> list[str]:
    """The bins in Markdown, a line each."""
    return [
        "| likelihood | values | mean likelihood | right |",
        "| --- | --- | --- | --- |",
        *(
            f"| {each.low:.1f} to {each.high:.1f} | {each.count} | {each.mean:.2f} | {each.right:.2f} |"
            for each in bins(found)
        ),
    ]
