"""The shortest way from the begin of a string to one that a regular expression accepts.

A Thompson automaton (Thompson 1968): simulated over what is written, then followed along the distances to acceptance,
which are computed once from the end (breadth first). What it does not read is no error: closing has other ways.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, islice
from typing import Any

import regex

from local_retab.schema.ecma import translate

MAX_STATES = 5_000
MAX_PATTERNS = 256  # of one schema
MAX_CELLS = 1_000_000  # states times characters that a minimal length adds
_FAR = 1 << 30
_START, _END = "start", "end"
# In the order in which they are chosen; beyond ASCII one of each of the larger scripts and categories.
_CHOICES = "a0A -./:_@" + "".join(map(chr, range(0x20, 0x7F))) + "é\t\n€\u00a0\u0430\u4e00\u3042\u0627\U0001f600"
_QUANTIFIER = regex.compile(r"([*+?]|\{(\d+)(,?)(\d*)\})[?]?")
_ATOM = regex.compile(
    r"\\[pP]\{[^}]*\}|\\x[0-9a-fA-F]{2}|\\[^A-Za-z0-9]|\[(?:\\.|[^\]\\])*\]|[^\\\[(){}|*+?^$]", regex.DOTALL
)
_GROUP = regex.compile(r"\((?:\?:|\?P?<\w+>|(?!\?))")


class UnreadPatternError(ValueError):
    """The pattern has what this module does not read. Internal."""


@dataclass(slots=True)
class _State:
    free: list[tuple[int, str | None]] = field(default_factory=list)  # to a state, where the text starts or ends
    taking: tuple[Callable[[str], bool], str, int] | None = None  # test, a character that passes it, to a state


class Completion:
    """Ends of strings in which ``pattern`` (ECMA 262) occurs."""

    def __init__(self, pattern: str) -> None:
        """Raises UnreadPatternError."""
        self._states: list[_State] = []
        self._text, self._at = translate(pattern), 0
        head = self._any_text()
        first, last = self._alternatives()
        if self._at < len(self._text):
            raise UnreadPatternError(pattern)
        tail = self._any_text()
        self._link(head, first)
        self._link(last, tail)
        self._first, self._last = head, tail
        self._rows: list[list[int]] = []

    # The automaton

    def _state(self) -> int:
        if len(self._states) >= MAX_STATES:
            raise UnreadPatternError("too large")
        self._states.append(_State())
        return len(self._states) - 1

    def _link(self, source: int, target: int, where: str | None = None) -> None:
        self._states[source].free.append((target, where))

    def _any_text(self) -> int:
        state = self._state()
        self._states[state].taking = (lambda char: True, "a", state)
        return state

    def _alternatives(self) -> tuple[int, int]:
        first, last = self._state(), self._state()
        while True:
            inner, end = self._concatenation()
            self._link(first, inner)
            self._link(end, last)
            if not self._text.startswith("|", self._at):
                return first, last
            self._at += 1

    def _concatenation(self) -> tuple[int, int]:
        first = last = self._state()
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            begun = self._at
            inner, end = self._piece()
            quantifier = _QUANTIFIER.match(self._text, self._at)
            if quantifier:
                inner, end = self._repeated(begun, inner, end, quantifier)
            self._link(last, inner)
            last = end
        return first, last

    def _piece(self) -> tuple[int, int]:
        group = _GROUP.match(self._text, self._at)
        if group:
            self._at = group.end()
            found = self._alternatives()
            if not self._text.startswith(")", self._at):
                raise UnreadPatternError(self._text)
            self._at += 1
            return found
        first, last = self._state(), self._state()
        if self._text[self._at] in "^$":
            self._link(first, last, _START if self._text[self._at] == "^" else _END)
            self._at += 1
            return first, last
        atom = _ATOM.match(self._text, self._at)
        if atom is None:
            raise UnreadPatternError(self._text)
        self._at = atom.end()
        test, choice = _character(atom[0])
        if choice is not None:
            self._states[first].taking = (test, choice, last)
        return first, last

    def _repeated(self, begun: int, inner: int, end: int, quantifier: regex.Match[str]) -> tuple[int, int]:
        """``inner`` to ``end`` as often as asked, each further time read anew from ``begun``."""
        sign, low, comma, high = quantifier.groups()
        if sign in "*+?":
            least, most = int(sign == "+"), 1 if sign == "?" else None
        else:
            least, most = int(low), int(high) if high else None if comma else int(low)
        first, last = self._state(), self._state()
        at, times = first, 0
        while True:
            if times >= least:
                self._link(at, last)
            if times == most:
                break
            if times:
                self._at = begun
                inner, end = self._piece()
            self._link(at, inner)
            times += 1
            at = end
            if most is None and times >= least:
                again = self._state()
                self._link(end, again)
                self._link(again, inner)
                self._link(again, last)
                break
        self._at = quantifier.end()
        return first, last

    # Walking it

    def end(self, begun: str, length: int = 0) -> str | None:
        """The shortest text after ``begun`` so that the whole matches and has ``length`` characters at least.

        None where there is no such text, or it is too far to look for.
        """
        here = self._closure({self._first}, at_start=True)
        for char in begun:
            tested: dict[int, bool] = {}
            passed: set[int] = set()
            for state in here:
                taking = self._states[state].taking
                if taking and tested.setdefault(id(taking[0]), taking[0](char)):
                    passed.add(taking[2])
            here = self._closure(passed, at_start=False)
        more = max(length - len(begun), 0)
        if more * len(self._states) > MAX_CELLS:
            return None
        out = ""
        if not any(self._distances(more)[state] < _FAR for state in here):
            return None
        while not any(self._distances(more)[state] == 0 for state in here):
            after = self._distances(max(more - 1, 0))
            takings = [taking for state in here if (taking := self._states[state].taking)]
            _, char, target = min(takings, key=lambda taking: after[taking[2]])
            out += char
            here = self._closure({target}, at_start=False)
            more = max(more - 1, 0)
        return out

    def _closure(self, states: set[int], *, at_start: bool) -> list[int]:
        """The states without what is reached only at the end of the text, in the order of their making."""
        found, pending = set(states), list(states)
        while pending:
            for target, where in self._states[pending.pop()].free:
                if target not in found and (where is None or (where == _START and at_start)):
                    found.add(target)
                    pending.append(target)
        return sorted(found)

    def _distances(self, more: int) -> list[int]:
        """For each state how many characters it takes to be accepted, ``more`` of them at least."""
        if not self._rows:
            self._rows.append(self._relaxed([_FAR] * len(self._states), ending=True))
        while len(self._rows) <= more:
            before = self._rows[-1]
            row = [min(before[state.taking[2]] + 1, _FAR) if state.taking else _FAR for state in self._states]
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
            if state.taking and ending:
                taken[state.taking[2]].append(number)
        if ending:
            for number in self._accepted():
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

    def _accepted(self) -> Iterator[int]:
        """The states at which the text may end."""
        back: dict[int, list[int]] = {}
        for number, state in enumerate(self._states):
            for target, where in state.free:
                if where != _START:
                    back.setdefault(target, []).append(number)
        found, pending = {self._last}, [self._last]
        while pending:
            for source in back.get(pending.pop(), ()):
                if source not in found:
                    found.add(source)
                    pending.append(source)
        return iter(found)


@lru_cache(maxsize=1024)
def _character(atom: str) -> tuple[Callable[[str], bool], str | None]:
    """Whether a character is one of an atom's, and one that is; None where no common one is."""
    matches = regex.compile(atom, regex.DOTALL | regex.VERSION0).fullmatch
    return lambda char: matches(char) is not None, next(filter(matches, _CHOICES), None)


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
