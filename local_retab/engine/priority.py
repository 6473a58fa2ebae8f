"""Who goes first: what someone waits for before what runs in the background, which does not stand back for ever.

Interactive sequences have places and calls to themselves; background answers join a call that hardly takes longer for
them, as on a GPU. A background sequence that has spent PATIENCE_SECONDS beside interactive ones counts as one of them,
and that time is not part of its limit: so each gets done, and is not refused for having been polite.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from local_retab.engine.sequence import Phase

if TYPE_CHECKING:
    from local_retab.engine import sequence as running
    from local_retab.engine.draft import StepCosts

PATIENCE_SECONDS = 120.0
HINDRANCE = 0.1
"""By how much a call may take longer for all background answers in it."""


def precedence(sequence: running.Sequence) -> tuple[bool, int]:
    """Sorts sequences: interactive ones first, each kind in order of arrival."""
    return sequence.background, sequence.number


def foremost(sequences: Sequence[running.Sequence]) -> list[running.Sequence]:
    """The interactive ones; all where there are none."""
    return [sequence for sequence in sequences if not sequence.background] or list(sequences)


def taking_part(sequences: Sequence[running.Sequence], costs: StepCosts, chunk: int) -> list[running.Sequence]:
    """Those of the running ``sequences`` whose tokens are computed next, at most ``chunk`` of the foremost."""
    chosen = foremost(sequences)
    tokens = min(sum(sequence.pending_text for sequence in chosen), chunk)
    if tokens:
        most = (1 + HINDRANCE) * costs.estimate(tokens)
        for sequence in sequences:
            joins = sequence.background and sequence.phase is Phase.DECODE and sequence not in chosen
            if joins and costs.estimate(tokens + sequence.pending) <= most:
                tokens += sequence.pending
                chosen.append(sequence)
    return chosen


def grow_impatient(sequences: Iterable[running.Sequence], seconds: float) -> None:
    """Note that all ``sequences`` were there for so long, running or waiting, and promote whom it was too long."""
    there = list(sequences)
    if all(sequence.background for sequence in there):
        return
    for sequence in there:
        if sequence.background:
            sequence.yielded_seconds += seconds
            sequence.background = sequence.yielded_seconds < PATIENCE_SECONDS
