"""Ending well: a short way out of a value that has to stop now, without the model.

A greedy walk over bytes: whatever the grammar forces is taken, and where there is a choice the byte that leads out
soonest comes first. Outside strings that is the end of the container, then null, then the emptiest other value.
Inside a string it is the quotation mark; then the shortest end under one of the schema's patterns, or the end of a
filler, a value of each common format, as the cut may be anywhere in it; then letters, digits and punctuation in turn,
which walks through most patterns that are not read. A byte is tried as its own token, which byte-level vocabularies
have for every byte. The work is counted and bounded, as closing runs in the thread that decodes.
"""

from __future__ import annotations

import json
import random
import string
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local_retab.engine.completion import completion, patterns_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_retab.engine.constraint import Constraint

# Attempts: bytes, questions to the grammar (1 to 6 microseconds each), and the seed of another order. A short walk, as
# most are; a few in another order, for schemas that recur; and one as long as a value may have to be.
_ATTEMPTS = ((1_000, 6_000, None), *((400, 1_500, seed) for seed in range(1, 9)), (20_000, 15_000, None))

_OUTSIDE = b'}],n"[{0-ft123456789.:eE+ulsar '
_LOWER, _DIGITS, _UPPER = (text.encode() for text in (string.ascii_lowercase, string.digits, string.ascii_uppercase))
_JOINTS = b"@.:-/_ " + bytes(sorted(set(string.punctuation.encode()) - set(b'@.:-/_"\\')))
# The rest of a character that was cut; a backslash last, as it has to be followed by something.
_OTHERS = bytes(range(0x80, 0x100)) + b"\\"

_FILLERS = (
    b"2000-01-01T00:00:00Z",
    b"2000-01-01 00:00:00",
    b"00:00:00+00:00",
    b"P1DT1H",
    b"a@a.aa",
    b"https://www.aa.aa/a/0/a/0/a",
    b"a.aa:0",
    b"192.168.0.1",
    b"::1",
    b"00000000-0000-0000-0000-000000000000",
    b"1.0.0",
    b"/a",
)


class _Text:
    """What matters of the JSON text so far: whether a string is open, and what it ends with."""

    def __init__(self) -> None:
        self.in_string = False
        self._escaped = False
        self._uses: Counter[int] = Counter()
        self._last = b""
        self._written = bytearray()

    def add(self, data: bytes) -> None:
        for byte in data:
            if self.in_string and not self._escaped:
                self._escaped = byte == ord("\\")
                self.in_string = byte != ord('"')
            elif self._escaped:
                self._escaped = False
            elif byte == ord('"'):
                self.in_string = True
                self._uses.clear()
                self._written.clear()
            self._uses[byte] += 1
            self._written.append(byte)
        self._last = (self._last + data)[-3:]

    def written(self) -> str | None:
        """The string that is open; None in the middle of a character."""
        try:
            text: str = json.loads(bytes(self._written) + b'"')
        except ValueError:
            return None
        return text

    def preference(self) -> Iterator[int]:
        """All bytes that may lead out, the best first."""
        # A digit three times in a row gets nowhere, as in the 0.000 of a number that must exceed 0.
        worn = self._last[0] if len(self._last) == 3 and len(set(self._last)) == 1 and self._last.isdigit() else -1
        if not self.in_string:
            yield from sorted(_OUTSIDE, key=lambda byte: byte == worn)
            return
        yield ord('"')
        for kind in self._kinds():
            yield from sorted(kind, key=lambda byte: byte == worn if kind is _DIGITS else self._uses[byte])

    def _kinds(self) -> list[bytes]:
        """Two letters, two digits, a joint, and so on as far as the pattern lets; capitals where it wants them."""
        *_, before_last, last = (None, None, *map(_kind, self._last))
        cycle = [_LOWER, _DIGITS, _JOINTS]
        turn = cycle.index(last) if last in cycle else 0
        kinds = [*cycle[turn:], *cycle[:turn], _UPPER]
        if last in kinds and (last is _JOINTS or last is before_last):
            kinds.remove(last)
            kinds.append(last)
        return [*kinds, _OTHERS]


def _kind(byte: int) -> bytes | None:
    return next((kind for kind in (_LOWER, _DIGITS, _JOINTS, _UPPER) if byte in kind), None)


class Closer:
    """Closes values under any grammar over one vocabulary (an ``llguidance.LLTokenizer``)."""

    def __init__(self, tokenizer: Any) -> None:
        self._token_of: dict[int, int] = {}
        for byte in range(256):
            tokens: list[int] = tokenizer.tokenize_bytes(bytes([byte]))
            if len(tokens) == 1 and tokenizer.decode_bytes(tokens) == bytes([byte]):
                self._token_of[byte] = tokens[0]
        ends = {filler[start:] + b'"' for filler in _FILLERS for start in range(len(filler))}
        self._ends = sorted((end for end in ends if self._token_of.keys() >= set(end)), key=lambda end: (len(end), end))

    def close(self, constraint: Constraint, begun: bytes) -> bytes | None:
        """Bytes that complete the value that ``begun`` begins, consumed in ``constraint``.

        None when no way out was found. Where the best bytes lead round in circles, as in a schema that recurs, the
        walk is repeated a few times with another order of the bytes that do not lead out.
        """
        for limit, questions, seed in _ATTEMPTS:
            order = None if seed is None else random.Random(seed)
            ending = self._walk(constraint.copy(), begun, limit, order, _Work(questions))
            if ending is not None:
                constraint.consume([self._token_of[byte] for byte in ending])
                return ending
        return None

    def _walk(
        self, constraint: Constraint, begun: bytes, limit: int, order: random.Random | None, work: _Work
    ) -> bytes | None:
        text, out = _Text(), bytearray()
        filled = False  # whether fillers were tried on the string that is open
        text.add(begun)
        while len(out) < limit and work.left > 0:
            work.left -= 1
            if constraint.finished or constraint.accepting:
                return bytes(out)
            step = constraint.forced_bytes()
            if not step or any(byte not in self._token_of for byte in step):
                step = self._best(constraint, text, order, work)
                written = text.written() if text.in_string and not filled and step != b'"' else None
                if written is not None:
                    step = self._filler(constraint, written, order, work) or step
                    filled = True
            if not step:
                return None
            constraint.consume([self._token_of[byte] for byte in step])
            text.add(step)
            filled = filled and text.in_string
            out += step
        return None

    def _filler(self, constraint: Constraint, written: str, order: random.Random | None, work: _Work) -> bytes:
        """The shortest end of a pattern's string or of a filler with which the string can be complete.

        With an ``order`` any end of a pattern's string: a name of what recurs may be shorter than one of what does not.
        """
        ends = sorted(self._completions(constraint, written), key=lambda end: (len(end), end))
        if order is None:
            ends = sorted([*ends, *self._ends], key=lambda end: (len(end), end))
        else:
            order.shuffle(ends)
            ends += self._ends
        for end in ends:
            work.left -= 1
            if constraint.allows_all([self._token_of[byte] for byte in end]):
                return end
        return b""

    def _completions(self, constraint: Constraint, written: str) -> Iterator[bytes]:
        for pattern, length in patterns_of(constraint.grammar):
            automaton = completion(pattern)
            end = automaton.end(written, length) if automaton else None
            if end is not None:
                data = json.dumps(end, ensure_ascii=False)[1:].encode()
                if self._token_of.keys() >= set(data):
                    yield data

    def _best(self, constraint: Constraint, text: _Text, order: random.Random | None, work: _Work) -> bytes:
        preference = list(text.preference())
        if order is not None:
            out = 1 if text.in_string else 2  # the quotation mark; the brackets
            rest = preference[out:]
            order.shuffle(rest)
            preference[out:] = rest
        for byte in preference:
            work.left -= 1
            if byte in self._token_of and constraint.allows(self._token_of[byte]):
                return bytes([byte])
        return b""


@dataclass(slots=True)
class _Work:
    """How many more questions may be asked."""

    left: int
