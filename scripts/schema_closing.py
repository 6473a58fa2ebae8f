"""Ending well, measured: answers cut at random places and closed without a model."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass
from typing import Any

from local_retab.engine.closing import Closer
from local_retab.engine.constraint import Constraint
from local_retab.errors import EngineError, OutputValidationError
from local_retab.schema import SchemaPlan


@dataclass(slots=True)
class Cuts:
    """Counts of closed answers, and the time and bytes that closing took."""

    made: int = 0
    valid: int = 0
    refused: int = 0
    """Closed, but the validation refuses the value: the caller gets an error, not the value."""
    not_closed: int = 0
    seconds: float = 0.0
    slowest_seconds: float = 0.0
    suffix_bytes: int = 0

    def add(self, other: Cuts) -> None:
        """Add the counts of ``other``."""
        for name in ("made", "valid", "refused", "not_closed", "seconds", "suffix_bytes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.slowest_seconds = max(self.slowest_seconds, other.slowest_seconds)


def cut_and_close(
    counts: Cuts, plan: SchemaPlan, grammar: Constraint, vocabulary: Any, answer: str, times: int, *, seed: str
) -> None:
    """Cut ``answer``, a text under ``grammar``, at random tokens, and close what is left."""
    choice = random.Random(seed)
    tokens = vocabulary.tokenize_bytes(answer.encode())
    closer = Closer(vocabulary)
    for _ in range(times):
        kept = tokens[: choice.randrange(len(tokens))]
        constraint = grammar.copy()
        constraint.consume(kept)
        counts.made += 1
        started = time.perf_counter()
        try:
            ending = closer.close(constraint, vocabulary.decode_bytes(kept))
        except EngineError:
            ending = None
        elapsed = time.perf_counter() - started
        counts.seconds += elapsed
        counts.slowest_seconds = max(counts.slowest_seconds, elapsed)
        if ending is None:
            counts.not_closed += 1
            continue
        counts.suffix_bytes += len(ending)
        data = vocabulary.decode_bytes(kept) + ending
        try:
            plan.validate(plan.to_caller(json.loads(data)))
        except (OutputValidationError, ValueError):
            counts.refused += 1
        else:
            counts.valid += 1
