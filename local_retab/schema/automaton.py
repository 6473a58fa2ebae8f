"""Regular expressions as automata (Thompson 1968). What they do not read is no error: who asks has other ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import regex

from local_retab.schema.ecma import translate

MAX_STATES = 5_000
START, END = "start", "end"
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
class State:
    """A state: free ways, each to a state and perhaps only where the text starts or ends, and one that takes."""

    free: list[tuple[int, str | None]] = field(default_factory=list)
    taking: Taking | None = None


@dataclass(frozen=True, slots=True)
class Taking:
    """A way that takes a character."""

    test: Callable[[str], bool]
    choice: str | None  # a character that passes it; None where no common one does
    target: int
    atom: str | None  # the expression of the character; None for any character


class Automaton:
    """The texts in which ``pattern`` (ECMA 262) occurs, as states from ``first`` to ``last``."""

    def __init__(self, pattern: str) -> None:
        """Raises UnreadPatternError."""
        self.states: list[State] = []
        self._text, self._at = translate(pattern), 0
        self.first = self._any_text()
        inner, end = self._alternatives()
        if self._at < len(self._text):
            raise UnreadPatternError(pattern)
        self.last = self._any_text()
        self._link(self.first, inner)
        self._link(end, self.last)

    def _state(self) -> int:
        if len(self.states) >= MAX_STATES:
            raise UnreadPatternError("too large")
        self.states.append(State())
        return len(self.states) - 1

    def _link(self, source: int, target: int, where: str | None = None) -> None:
        self.states[source].free.append((target, where))

    def _any_text(self) -> int:
        state = self._state()
        self.states[state].taking = Taking(lambda char: True, "a", state, None)
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
            self._link(first, last, START if self._text[self._at] == "^" else END)
            self._at += 1
            return first, last
        atom = _ATOM.match(self._text, self._at)
        if atom is None:
            raise UnreadPatternError(self._text)
        self._at = atom.end()
        test, choice = _character(atom[0])
        self.states[first].taking = Taking(test, choice, last, atom[0])
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

    def closure(self, states: Iterable[int], *, at_start: bool) -> list[int]:
        """The states without what is reached only at the end of the text, in the order of their making."""
        found, pending = set(states), list(states)
        while pending:
            for target, where in self.states[pending.pop()].free:
                if target not in found and (where is None or (where == START and at_start)):
                    found.add(target)
                    pending.append(target)
        return sorted(found)

    def accepted(self) -> Iterator[int]:
        """The states at which the text may end."""
        back: dict[int, list[int]] = {}
        for number, state in enumerate(self.states):
            for target, where in state.free:
                if where != START:
                    back.setdefault(target, []).append(number)
        found, pending = {self.last}, [self.last]
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
