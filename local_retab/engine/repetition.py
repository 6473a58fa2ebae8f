"""Arrays that go round in circles, and numbers without an end.

A small model that has named every item often begins anew, and never ends. A list may well name a thing as often as the
document does. So an array ends where its last items are the same over and over, many times and more often than the
prompt has them; and a number ends where it has more digits than any number has. Texts end by their own limit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydantic import JsonValue

    from local_retab.engine.backend import Backend
    from local_retab.engine.sequence import Sequence

MAX_PERIOD = 2048
"""Bytes of the items that come again and again."""
TAIL = 20
"""Bytes by which the same items are found; fewer than ROUNDS - 1 of the shortest, an empty string."""
ROUNDS = 8
ROUNDS_OF_LITERALS = 64
"""Rounds without any text, of numbers, true, false and null: rows of zeros are no circle."""
MAX_DIGITS = 40
"""Digits in a row of a number. A double has 17 that matter, and the longest numbers of accounts 34."""
_DIGITS = tuple(b"%d" % digit for digit in range(10))
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


class Repetition:
    """Looks at each token that is to be written."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def ending(self, sequence: Sequence, token: int) -> list[int] | None:
        """The tokens that end the array instead of ``token``, if that is what begins another round in it."""
        text = self._backend.token_bytes(token)
        comma = text.find(b",")
        if comma < 0:
            return None
        written = bytes(sequence.output[-2 * MAX_PERIOD :]) + text[:comma]
        seen = written.rfind(written[-TAIL:], 0, len(written) - 1) if len(written) > TAIL else -1
        if seen < 0:
            return None
        period = len(written) - TAIL - seen
        strings = _strings_of_items(written[-period:])
        if strings is None or not self._goes_round(bytes(sequence.output) + text[:comma], period, strings, sequence):
            return None
        end = self._backend.tokenize((text[:comma] + b"]").decode("utf-8", "ignore"), special=False)
        return end if sequence.constraint.allows_all(end) else None

    def _goes_round(self, written: bytes, period: int, strings: list[str], sequence: Sequence) -> bool:
        """Whether the last ``period`` bytes of ``written`` have come too often."""
        rounds, end = 0, len(written)
        while end >= period and written.startswith(written[-period:], end - period):
            rounds, end = rounds + 1, end - period
        if rounds < (ROUNDS if strings else ROUNDS_OF_LITERALS):
            return False
        if sequence.prompt_text is None:
            prompt = (token for token in sequence.tokens[: sequence.prompt_length] if token >= 0)
            sequence.prompt_text = b"".join(map(self._backend.token_bytes, prompt))
        return rounds > min((sequence.prompt_text.count(string.encode()) for string in strings if string), default=0)

    def endless(self, sequence: Sequence, token: int) -> bool:
        """Whether ``token`` is a further digit of a number that has too many."""
        tail = bytes(sequence.output[-MAX_DIGITS:])
        if len(tail) < MAX_DIGITS or not tail.isdigit() or not self._backend.token_bytes(token).startswith(_DIGITS):
            return False
        return b'"' not in _STRING.sub(b"", bytes(sequence.output))

    def without_digits(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """``logits``, shape (vocabulary,), with nothing that goes on with a number."""
        found = logits.copy()
        found[self._numeric[self._numeric < logits.size]] = -np.inf
        return found

    @cached_property
    def _numeric(self) -> NDArray[np.intp]:
        """The tokens that a number may go on with."""
        tokens = range(self._backend.info.vocabulary_size)
        goes_on = (*_DIGITS, b".", b"e", b"E")
        return np.array([token for token in tokens if self._backend.token_bytes(token).startswith(goes_on)], np.intp)


def _strings_of_items(data: bytes) -> list[str] | None:
    """The strings in ``data`` if that is whole items, with the comma before them; else None."""
    if data[:1] != b"," or len(data) > MAX_PERIOD:
        return None
    try:
        return list(_strings(json.loads(b"[" + data[1:] + b"]")))
    except (ValueError, RecursionError):
        return None


def _strings(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)
