"""What a model means by a colon where JSON is written without blanks.

Most JSON has a blank behind the colon, and tokenizers have ``":``, ``": "`` in two tokens, and ``":"`` in one. A model
that expects the blank writes ``":`` alone. Without it only null can follow then, as nothing writes a quotation mark by
itself there: what it says of ``"`` is noise, what it says of a blank and ``"`` is what it means. So the values that it
would begin with a blank count as what they are without it, and the token is written that has the colon and the bracket
or quotation mark in one, in place of the colon's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from local_retab.engine.backend import Backend
    from local_retab.engine.sequence import Sequence

COLON, BLANK = '":', " "
OPENINGS = ('"', "[", "{")
LITERALS = ("null", "true", "false")
DIGITS = "-0123456789"


@dataclass(frozen=True, slots=True)
class Blanks:
    """The tokens that it takes: ``led`` by the same without its blank, ``joined`` by what follows the colon in them."""

    colon: int
    blank: int
    led: Mapping[int, int]
    joined: Mapping[int, int]
    digits: NDArray[np.intp]

    @classmethod
    def of(cls, backend: Backend) -> Blanks | None:
        """None for a tokenizer that has no such tokens."""
        colon, blank = _single(backend, COLON), _single(backend, BLANK)
        if colon is None or blank is None:
            return None
        plain = {text: _single(backend, text) for text in (*OPENINGS, *LITERALS)}
        led = {text: _single(backend, BLANK + text) for text in plain}
        joined = {text: _single(backend, COLON + text) for text in OPENINGS}
        digits = [token for token in (_single(backend, text) for text in DIGITS) if token is not None]
        return cls(colon, blank, _pairs(plain, led), _pairs(plain, joined), np.array(digits, np.intp))

    def awaits_value(self, sequence: Sequence) -> bool:
        """Whether a value is next, behind a colon that was written by itself; in a text a blank may follow one."""
        return (
            sequence.tokens[-1] == self.colon and bool(sequence.output) and not sequence.constraint.allows(self.blank)
        )

    def meant(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """``logits``, shape (vocabulary,), with each value as likely as it is with or without a blank before it."""
        found = logits.copy()
        for token, led in self.led.items():
            found[token] = max(logits[token], logits[led])
        # Digits have a token of their own behind the blank's.
        if self.digits.size:
            found[self.digits] += max(logits[self.blank] - np.max(found[self.digits]), 0)
        return found


def _pairs(tokens: Mapping[str, int | None], others: Mapping[str, int | None]) -> dict[int, int]:
    """The tokens of the same texts, where there are both."""
    return {token: other for text, other in others.items() if other is not None and (token := tokens[text]) is not None}


def _single(backend: Backend, text: str) -> int | None:
    """The one token in which the tokenizer writes ``text``."""
    tokens = backend.tokenize(text, special=False)
    return tokens[0] if len(tokens) == 1 and backend.token_bytes(tokens[0]) == text.encode() else None
