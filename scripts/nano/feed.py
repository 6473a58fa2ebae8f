"""Batches in the order of their steps, made by processes beside the training."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import torch
from torch.utils.data import DataLoader, Dataset

from nano.batches import Batch

AHEAD = 4  # batches that each process has ready


class Feed(Dataset[Batch]):
    """The batch of each step. ``make`` gets a generator of that step's own and the level that training has reached;
    a batch that was made ahead may be of the level before."""

    def __init__(self, name: str, make: Callable[[random.Random, int], Batch]) -> None:
        self.name = name
        self._make = make
        self._level = torch.zeros((), dtype=torch.long).share_memory_()

    @property
    def level(self) -> int:
        return int(self._level)

    @level.setter
    def level(self, value: int) -> None:
        self._level.fill_(value)

    def __getitem__(self, step: int) -> Batch:
        return self._make(random.Random(f"{self.name} {step}"), self.level)

    def batches(self, first: int, end: int, workers: int) -> Iterator[Batch]:
        """Those of the steps from ``first`` to before ``end``, by so many processes (0: by this one)."""
        ahead = AHEAD if workers else None
        steps = range(first, end)
        return iter(DataLoader(self, batch_size=None, sampler=steps, num_workers=workers, prefetch_factor=ahead))
