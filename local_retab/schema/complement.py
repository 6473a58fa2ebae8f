"""Regular expressions of the texts that another one does not match, as the grammar has no complement.

Of words by their tree. Of patterns by the deterministic automaton over the classes of characters that the pattern tells
apart (subset construction, Rabin and Scott 1959), minimised (Moore 1956), and written as an expression again by taking
its states out one by one (Brzozowski and McCluskey 1963).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise

import regex

from local_retab.schema.automaton import Automaton, UnreadPatternError
from local_retab.schema.ecma import LAST, literal

MAX_STATES = 80
MAX_CHARS = 4_000  # of an expression
Ranges = tuple[tuple[int, int], ...]
_ALL: Ranges = ((0, ord(LAST)),)
_MEMBER = regex.compile(r"\\x([0-9a-fA-F]{2})|\\([^A-Za-z0-9])|([^\\])", regex.DOTALL)


def words(texts: Iterable[str]) -> str:
    """A pattern of every text but these."""
    return f"^{_but(sorted(set(texts)))}$"


@lru_cache(maxsize=512)
def complement_of(pattern: str) -> str | None:
    """A pattern (ECMA 262) of the texts in which ``pattern`` does not occur; None where none, or only a large one, is
    known."""
    try:
        table, finals = _minimal(*_deterministic(Automaton(pattern)))
    except (UnreadPatternError, regex.error):
        return None
    found = _expression(table, finals)
    return None if found is None else f"^{found}$"


def _but(texts: list[str]) -> str:
    """An expression of every text but the sorted ``texts``."""
    first: dict[str, list[str]] = {}
    for text in texts:
        first.setdefault(text[:1], []).append(text[1:])
    ends = first.pop("", None) is not None
    known = sorted(map(ord, first))
    options = [f"{characters(_rest(known))}{characters(_ALL)}*"]
    options += [f"{literal(char)}{_but(rest)}" for char, rest in first.items()]
    return f"(?:{'|'.join(options)}){'' if ends else '?'}"


def characters(ranges: Ranges) -> str:
    """A class of characters, without NUL where llguidance would let in the quotation mark or the backslash with it."""
    if ranges[:1] and ranges[0][0] == 0 and ranges[0][1] >= 31 and not (_has(ranges, 34) and _has(ranges, 92)):
        ranges = ((1, ranges[0][1]), *ranges[1:])
    parts = (literal(chr(low)) if low == high else f"{literal(chr(low))}-{literal(chr(high))}" for low, high in ranges)
    return f"[{''.join(parts)}]"


def _has(ranges: Ranges, code: int) -> bool:
    return any(low <= code <= high for low, high in ranges)


def _rest(codes: list[int]) -> Ranges:
    """The characters that are none of the sorted ``codes``."""
    edges = [-1, *codes, ord(LAST) + 1]
    return tuple((low + 1, high - 1) for low, high in pairwise(edges) if low + 1 < high)


def _ranges(atom: str | None) -> Ranges:
    """The characters that one character of an expression stands for. Raises UnreadPatternError."""
    if atom is None:
        return _ALL
    if not atom.startswith("["):
        found = _MEMBER.fullmatch(atom)
        if found is None:
            raise UnreadPatternError(atom)
        return ((_code(found), _code(found)),)
    negated = atom.startswith("[^")
    at, members = 1 + negated, list[tuple[int, int]]()
    while at < len(atom) - 1:
        first = _MEMBER.match(atom, at)
        if first is None:
            raise UnreadPatternError(atom)
        at = first.end()
        low = high = _code(first)
        if atom[at] == "-" and at < len(atom) - 2:
            last = _MEMBER.match(atom, at + 1)
            if last is None:
                raise UnreadPatternError(atom)
            at, high = last.end(), _code(last)
        members.append((low, high))
    return _complemented(members) if negated else tuple(members)


def _code(found: regex.Match[str]) -> int:
    code, *chars = found.groups()
    return int(code, 16) if code else ord(next(char for char in chars if char))


def _complemented(members: list[tuple[int, int]]) -> Ranges:
    found, at = [], 0
    for low, high in sorted(members):
        if low > at:
            found.append((at, low - 1))
        at = max(at, high + 1)
    return (*found, (at, ord(LAST))) if at <= ord(LAST) else tuple(found)


def _classes(automaton: Automaton) -> dict[frozenset[str | None], Ranges]:
    """The classes of characters that the automaton tells apart, each by the atoms that it is of."""
    known = {state.taking.atom: _ranges(state.taking.atom) for state in automaton.states if state.taking}
    edges = sorted({edge for ranges in known.values() for low, high in ranges for edge in (low, high + 1)})
    found: dict[frozenset[str | None], Ranges] = {}
    for low, after in pairwise(edges):
        atoms = frozenset(atom for atom, ranges in known.items() if _has(ranges, low))
        found[atoms] = _joined((*found.get(atoms, ()), (low, after - 1)))
    return found


def _joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    made: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if made and low <= made[-1][1] + 1:
            made[-1] = (made[-1][0], max(made[-1][1], high))
        else:
            made.append((low, high))
    return tuple(made)


Table = list[dict[Ranges, int]]


def _deterministic(automaton: Automaton) -> tuple[Table, set[int]]:
    """Where each class of characters leads from each state (the first is 0), and the states of texts without a match.

    Raises UnreadPatternError.
    """
    classes, accepted = _classes(automaton), set(automaton.accepted())
    numbers = {frozenset(automaton.closure({automaton.first}, at_start=True)): 0}
    table: Table = []
    while len(table) < len(numbers):
        if len(numbers) > MAX_STATES:
            raise UnreadPatternError("too many states")
        here = list(numbers)[len(table)]
        row: dict[Ranges, int] = {}
        for atoms, ranges in classes.items():
            if automaton.last in here:
                break  # every longer text matches as well
            takings = (automaton.states[state].taking for state in here)
            passed = {taking.target for taking in takings if taking and taking.atom in atoms}
            row[ranges] = numbers.setdefault(frozenset(automaton.closure(passed, at_start=False)), len(numbers))
        table.append(row)
    return table, {number for states, number in numbers.items() if not accepted & states}


def _minimal(table: Table, finals: set[int]) -> tuple[Table, set[int]]:
    """The same texts with as few states as there can be."""
    block = [int(state in finals) for state in range(len(table))]
    while True:
        rows = [(block[state], *((ranges, block[to]) for ranges, to in row.items())) for state, row in enumerate(table)]
        names = {row: number for number, row in enumerate(dict.fromkeys(rows))}
        after = [names[row] for row in rows]
        if len(names) == len(set(block)):
            break
        block = after
    made: Table = [{} for _ in names]
    for state, row in enumerate(table):
        made[after[state]] = {ranges: after[to] for ranges, to in row.items()}
    return made, {after[state] for state in finals}


def _expression(table: Table, finals: set[int]) -> str | None:
    """The texts that lead from state 0 to one of ``finals``; None when it grows too long."""
    start, end = len(table), len(table) + 1
    ways: dict[int, dict[int, str]] = {start: {0: ""}, end: {}}
    for state, known in enumerate(table):
        to: dict[int, Ranges] = {}
        for ranges, target in known.items():
            to[target] = _joined((*to.get(target, ()), *ranges))
        ways[state] = {target: characters(ranges) for target, ranges in to.items()}
        if state in finals:
            ways[state][end] = ""
    for state in _order(ways, len(table)):
        out = ways.pop(state)
        loop = out.pop(state, None)
        around = "" if not loop else f"{_grouped(loop)}*"
        for row in ways.values():
            into = row.pop(state, None)
            if into is None:
                continue
            for target, onward in out.items():
                way = f"{_grouped(into)}{around}{_grouped(onward)}"
                row[target] = _either(row[target], way) if target in row else way
                if len(row[target]) > MAX_CHARS:
                    return None
    return _grouped(ways[start][end]) if end in ways[start] else None


def _order(ways: Mapping[int, dict[int, str]], count: int) -> Iterator[int]:
    """The inner states, the one with the fewest ways through it first."""
    left = set(range(count))
    while left:
        into = {state: sum(state in row for name, row in ways.items() if name != state) for state in left}
        state = min(left, key=lambda state: (into[state] * len(ways[state]), state))
        left.remove(state)
        yield state


def _either(left: str, right: str) -> str:
    if left == right:
        return left
    return f"(?:{left or right})?" if not (left and right) else f"(?:{left}|{right})"


def _grouped(text: str) -> str:
    """The expression as one piece, where it is not surely one."""
    single = not text or (text.startswith("[") and "]" not in text[1:-1])
    return text if single else f"(?:{text})"
