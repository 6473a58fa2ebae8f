"""The shortest way from the begin of a string to one that a regular expression accepts.

An automaton, simulated over what is written, then followed along the distances to acceptance,
which are computed once from the end (breadth first). What it does not read is no error: closing has other ways.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain, islice
from typing import Any

import regex

from local_retab.schema.automaton import Automaton, UnreadPatternError

MAX_PATTERNS = 256  # of one schema
MAX_CELLS = 1_000_000  # states times characters that a minimal length adds
_FAR = 1 << 30


class Completion:
    """Ends of strings in which ``pattern`` (ECMA 262) occurs."""

    def __init__(self, pattern: str) -> None:
        """Raises UnreadPatternError."""
        self._automaton = Automaton(pattern)
        self._states = self._automaton.states
        # A character that no common one passes leads nowhere.
        self._takings = [state.taking if state.taking and state.taking.choice else None for state in self._states]
        self._rows: list[list[int]] = []

    def end(self, begun: str, length: int = 0) -> str | None:
        """The shortest text after ``begun`` so that the whole matches and has ``length`` characters at least.

        None where there is no such text, or it is too far to look for.
        """
        here = self._automaton.closure({self._automaton.first}, at_start=True)
        for char in begun:
            tested: dict[int, bool] = {}
            passed: set[int] = set()
            for state in here:
                taking = self._takings[state]
                if taking and tested.setdefault(id(taking.test), taking.test(char)):
                    passed.add(taking.target)
            here = self._automaton.closure(passed, at_start=False)
        more = max(length - len(begun), 0)
        if more * len(self._states) > MAX_CELLS:
            return None
        out = ""
        if not any(self._distances(more)[state] < _FAR for state in here):
            return None
        while not any(self._distances(more)[state] == 0 for state in here):
            after = self._distances(max(more - 1, 0))
            takings = [taking for state in here if (taking := self._takings[state])]
            chosen = min(takings, key=lambda taking: after[taking.target])
            out += chosen.choice or ""
            here = self._automaton.closure({chosen.target}, at_start=False)
            more = max(more - 1, 0)
        return out

    def _distances(self, more: int) -> list[int]:
        """For each state how many characters it takes to be accepted, ``more`` of them at least."""
        if not self._rows:
            self._rows.append(self._relaxed([_FAR] * len(self._states), ending=True))
        while len(self._rows) <= more:
            before = self._rows[-1]
            row = [min(before[taking.target] + 1, _FAR) if taking else _FAR for taking in self._takings]
            self._rows.append(self._relaxed(row, ending=False))
        return self._rows[more]

    def _relaxed(self, row: list[int], *, ending: bool) -> list[int]:
        """Distances carried back along free ways; with ``ending`` also along those that take a character."""
        back: list[list[int]] = [[] for _ in self._states]
        taken: list[list[int]] = [[] for _ in self._states]
        for number, state in enumerate(self._states):
            for target, where in state.free:
                if where is None:
                    back[target].append(number)
            if ending and (taking := self._takings[number]):
                taken[taking.target].append(number)
        if ending:
            for number in self._automaton.accepted():
                row[number] = 0
        known = sorted((number for number, far in enumerate(row) if far < _FAR), key=row.__getitem__)
        pending = deque(known)
        while pending:
            number = pending.popleft()
            for source, cost in chain(((at, 0) for at in back[number]), ((at, 1) for at in taken[number])):
                if row[number] + cost < row[source]:
                    row[source] = row[number] + cost
                    (pending.append if cost else pending.appendleft)(source)
        return row


@lru_cache(maxsize=256)
def completion(pattern: str) -> Completion | None:
    """The completion of a pattern; None for one that is not read."""
    try:
        return Completion(pattern)
    except (UnreadPatternError, regex.error):
        return None


@lru_cache(maxsize=64)
def patterns_of(grammar: str) -> tuple[tuple[str, int], ...]:
    """The patterns that strings or keys have under a grammar (llguidance's text form), with their minimal lengths."""
    return tuple(islice(dict.fromkeys(_patterns(json.loads(grammar))), MAX_PATTERNS))


def _patterns(node: Any) -> Iterator[tuple[str, int]]:
    pending = [node]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            if isinstance(pattern := node.get("pattern"), str):
                length = node.get("minLength")
                yield pattern, length if isinstance(length, int) else 0
            keys = node.get("patternProperties")
            yield from ((key, 0) for key in keys) if isinstance(keys, dict) else ()
            pending += node.values()
        elif isinstance(node, list):
            pending += node
