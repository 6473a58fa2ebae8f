"""Votes share all that they have in common, the answers as well as the prompt.

A sequence follows another one as long as it chooses the same tokens: it chooses from the other's logits, which are its
own, with its own random numbers, and nothing is computed for it. Where it chooses otherwise it goes on by itself, over
the KV up to there. Those that choose otherwise in the same way follow one of themselves, so each beginning of an answer
is computed once. What is chosen is what each would have chosen alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_retab.engine.sequence import Sequence


def family(leader: Sequence) -> list[Sequence]:
    """The sequence and those that follow it."""
    return [leader, *leader.followers]


def part(leader: Sequence, start: int) -> list[Sequence]:
    """Let go of the followers that have chosen other tokens than ``leader`` from ``start`` on.

    Returns the leader of each group of them, which waits as long as the first leader has done.
    """
    groups: dict[tuple[int, ...], list[Sequence]] = {}
    for sequence in family(leader):
        groups.setdefault(tuple(sequence.tokens[start:]), []).append(sequence)
    for first, *others in groups.values():
        first.followers = others
        first.background, first.yielded_seconds = leader.background, leader.yielded_seconds
    return [first for first, *_ in groups.values() if first is not leader]
