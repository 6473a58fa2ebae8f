"""Where each value of an extraction is printed: ``located`` sources, found in the words of the document.

Every leaf gets the candidates that its value has among the words; where there are several, its label and the place
of its neighbours in the value decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from local_retab.extraction.declared import Declared
from local_retab.extraction.matching import ALIKE, EXACT, Candidate, Finder
from local_retab.extraction.spots import PageWords, bare

if TYPE_CHECKING:
    from pydantic import JsonValue

    from local_retab.documents import Page

Status = Literal["matched", "partial", "ambiguous", "missing", "unsupported"]

_LABEL, _NEIGHBOUR, _ORDER, _REUSE = 0.5, 0.6, 0.1, 0.4
"""What the label, the nearness to neighbours, the order of items, and being another item's source weigh beside the
exactness of the match."""
_UNDECIDED = 0.02
_CONTEXT_WORDS = 5
_ROWS_ABOVE = 2
_ROWS_TO_HEADER = 40


@dataclass(frozen=True, slots=True)
class Located:
    """The source of one leaf. ``box`` is left, top, right, bottom in the page's units; None without a source."""

    path: tuple[str | int, ...]
    value: JsonValue
    status: Status
    page: int = 0
    box: tuple[float, float, float, float] | None = None
    content: str = ""
    words: tuple[int, ...] = ()
    is_answer: bool = True
    """False where the source supports the value without stating it."""


@dataclass(slots=True)
class _Leaf:
    path: tuple[str | int, ...]
    value: JsonValue
    label: frozenset[str]
    hints: frozenset[str]
    candidates: list[Candidate] = field(default_factory=list)

    @property
    def group(self) -> tuple[str | int, ...]:
        """The item of an array that it belongs to; () outside arrays."""
        last = max((i for i, part in enumerate(self.path) if isinstance(part, int)), default=-1)
        return self.path[: last + 1]

    @property
    def kind(self) -> tuple[str, ...]:
        """Its place without the indices: the same for this field of every item."""
        return tuple(part for part in self.path if isinstance(part, str))


def locate(value: JsonValue, schema: dict[str, Any] | None, pages: Sequence[Page]) -> list[Located]:
    """The source of every leaf of ``value``, in its order.

    ``pages`` are those that the value was extracted from, with their words.
    """
    finder = Finder([PageWords.of(page) for page in pages])
    leaves = list(_leaves(value, (), Declared.root(schema)))
    for leaf, is_date in leaves:
        leaf.candidates = finder.find(leaf.value, is_date=is_date)
    return _Decision(finder.pages).decide([leaf for leaf, _ in leaves])


def _leaves(value: JsonValue, path: tuple[str | int, ...], declared: Declared) -> Iterator[tuple[_Leaf, bool]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key), declared.child(key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index), declared.child(index))
    else:
        name = next((part for part in reversed(path) if isinstance(part, str)), "")
        yield _Leaf(path, value, frozenset(_name_words(name)), declared.words - {""}), declared.is_date


def _name_words(name: str) -> Iterator[str]:
    for part in re.split(r"[\W_]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)):
        if len(part) > 1:
            yield part.casefold()


class _Decision:
    """Which candidate of each leaf it is. Leaves with one choice come first and help the others of their group."""

    def __init__(self, pages: dict[int, PageWords]) -> None:
        self._pages = pages
        self._chosen: dict[tuple[str | int, ...], Candidate] = {}
        self._by_group: dict[tuple[str | int, ...], list[Candidate]] = {}
        self._taken: set[tuple[tuple[str, ...], Any]] = set()

    def decide(self, leaves: Sequence[_Leaf]) -> list[Located]:
        undecided: set[tuple[str | int, ...]] = set()
        groups: dict[tuple[str | int, ...], list[_Leaf]] = {}
        for leaf in leaves:
            groups.setdefault(leaf.group, []).append(leaf)
        for members in groups.values():
            for leaf in sorted(members, key=lambda leaf: (len(leaf.candidates), -len(str(leaf.value)))):
                if leaf.candidates and self._choose(leaf):
                    undecided.add(leaf.path)
        return [self._located(leaf, leaf.path in undecided) for leaf in leaves]

    def _choose(self, leaf: _Leaf) -> bool:
        """Takes the best candidate; returns whether another one is as good."""
        scored = [(self._score(leaf, candidate), candidate) for candidate in leaf.candidates]
        best, chosen = max(scored, key=lambda pair: pair[0])
        self._chosen[leaf.path] = chosen
        self._by_group.setdefault(leaf.group, []).append(chosen)
        self._taken.add((leaf.kind, chosen.span))
        return any(best - score < _UNDECIDED and candidate.span != chosen.span for score, candidate in scored)

    def _score(self, leaf: _Leaf, candidate: Candidate) -> float:
        score = candidate.exactness
        if len(leaf.candidates) > 1:
            score += _LABEL * self._labelled(leaf, candidate)
            score += _NEIGHBOUR * self._near(leaf.group, candidate)
            score -= _REUSE * ((leaf.kind, candidate.span) in self._taken)
            score += _ORDER * self._after(leaf, candidate)
        return score

    def _labelled(self, leaf: _Leaf, candidate: Candidate) -> float:
        """How much of the field's name or description stands left of a place, above it, or heads its column."""
        near = self._context(candidate)
        named = sum(_has(near, word) for word in leaf.label) / max(len(leaf.label), 1)
        hinted = sum(_has(near, word) for word in leaf.hints) / max(len(leaf.hints), 1)
        return max(named, 0.5 * hinted)

    def _context(self, candidate: Candidate) -> set[str]:
        page = self._pages[candidate.span.page]
        first = candidate.span.words[0]
        number = page.row_of[first]
        row = page.rows[number]
        place = row.index(first)
        near = row[max(place - _CONTEXT_WORDS, 0) : place]
        left, _, right, _ = page.box(candidate.span.words)
        headed = False
        for distance, above in enumerate(reversed(page.rows[max(number - _ROWS_TO_HEADER, 0) : number]), start=1):
            over = [i for i in above if page.words[i].left < right and page.words[i].right > left]
            # The head of a column is the first text above it that is not another value of it.
            head = not headed and not any(char.isdigit() for char in page.text(over))
            if over and (head or distance <= _ROWS_ABOVE):
                near = near + over
                headed = headed or head
        return {bare(page.words[index].text) for index in near}

    def _near(self, group: tuple[str | int, ...], candidate: Candidate) -> float:
        """1 on the row of a located member of the same item, less the further away, 0 on another page."""
        if not group:
            return 0.0
        page = self._pages[candidate.span.page]
        height = page.middle(candidate.span.words[0])
        distances = [
            abs(height - page.middle(other.span.words[0])) / max(page.line_height, 1e-6)
            for other in self._by_group.get(group, ())
            if other.span.page == candidate.span.page
        ]
        return 1 / (1 + max(min(distances) - 0.5, 0.0)) if distances else 0.0

    def _after(self, leaf: _Leaf, candidate: Candidate) -> float:
        """1 where the place comes after that of the item before; items are printed in order."""
        group = leaf.group
        if not group or group[-1] == 0:
            return 0.0
        assert isinstance(group[-1], int)
        before = self._by_group.get((*group[:-1], group[-1] - 1), ())
        return float(bool(before) and self._place(candidate) > max(map(self._place, before)))

    def _place(self, candidate: Candidate) -> tuple[int, int, float]:
        page, first = self._pages[candidate.span.page], candidate.span.words[0]
        return candidate.span.page, page.row_of[first], page.words[first].left

    def _located(self, leaf: _Leaf, undecided: bool) -> Located:
        chosen = self._chosen.get(leaf.path)
        if chosen is None:
            unsupported = isinstance(leaf.value, bool | list | dict)
            return Located(leaf.path, leaf.value, "unsupported" if unsupported else "missing")
        page = self._pages[chosen.span.page]
        status: Status = "matched" if chosen.exactness == EXACT else "partial"
        return Located(
            path=leaf.path,
            value=leaf.value,
            status="ambiguous" if undecided and chosen.exactness > ALIKE else status,
            page=page.number,
            box=page.box(chosen.span.words),
            content=page.text(chosen.span.words),
            words=chosen.span.words,
        )


def _has(near: set[str], word: str) -> bool:
    """Whether a word, or a longer or shorter form of it, is near."""
    if word in near:
        return True
    return len(word) > 3 and any(word in other or (len(other) > 3 and other in word) for other in near)
