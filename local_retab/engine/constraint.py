"""Where one sequence stands in its grammar: llguidance with every answer checked.

An llguidance matcher in its error state allows the end token alone, so an unchecked call truncates the value
without a word. Nothing here goes on after an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from llguidance import LLMatcher
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

from local_retab.errors import EngineError, UnsupportedSchemaError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Constraint:
    """A grammar, and the tokens consumed under it so far."""

    __slots__ = ("_matcher", "_size", "grammar")

    def __init__(self, matcher: Any, size: int, grammar: str) -> None:
        self._matcher = matcher
        self._size = size
        self.grammar = grammar  # llguidance's text form

    @classmethod
    def compile(cls, grammar: str, tokenizer: Any) -> Constraint:
        """Compile llguidance's grammar text. Raises UnsupportedSchemaError."""
        matcher = LLMatcher(tokenizer, grammar, log_level=0)
        if matcher.is_error():
            reason = matcher.get_error().strip()
            raise UnsupportedSchemaError(
                f"The schema's grammar cannot be compiled: {reason}. Simplify the schema.",
                details={"problems": [{"path": "", "keyword": "", "reason": reason}]},
            )
        return cls(matcher, tokenizer.vocab_size, grammar)

    def copy(self) -> Constraint:
        """An independent constraint in the same state; under a microsecond, against milliseconds to compile."""
        return Constraint(self._matcher.deep_copy(), self._size, self.grammar)

    def allows(self, token: int) -> bool:
        """Whether ``token`` may come next."""
        if token >= self._size:
            return False
        allowed: int = self._matcher.validate_tokens([token])
        self._check("judging a token")
        return allowed == 1

    def allows_all(self, tokens: list[int]) -> bool:
        """Whether ``tokens`` may come next, one after another."""
        return self.count_allowed(tokens) == len(tokens)

    def count_allowed(self, tokens: list[int]) -> int:
        """How many of ``tokens`` may come next, one after another."""
        allowed: int = self._matcher.validate_tokens(tokens)
        self._check("judging tokens")
        return allowed

    def allowed(self, size: int) -> NDArray[np.bool_]:
        """Which tokens may come next, shape (size,)."""
        mask = allocate_token_bitmask(1, self._size)
        fill_next_token_bitmask(self._matcher, mask)
        self._check("computing a mask")
        bits = np.unpackbits(mask.view(np.uint8)[0], count=min(size, self._size), bitorder="little")
        return np.pad(bits, (0, size - bits.size)).view(np.bool_) if bits.size < size else bits.view(np.bool_)

    def consume(self, tokens: Sequence[int]) -> None:
        """Advance over tokens that are allowed."""
        if tokens and not self._matcher.consume_tokens(list(tokens)):
            self._check(f"consuming {len(tokens)} tokens")
            raise EngineError("The grammar refused tokens that it had allowed.")

    def forced(self) -> list[int]:
        """The tokens that the grammar leaves no choice about, in canonical tokenisation; they are not consumed."""
        tokens: list[int] = self._matcher.compute_ff_tokens()
        self._check("computing forced tokens")
        return tokens

    def forced_bytes(self) -> bytes:
        """The bytes that the grammar leaves no choice about."""
        data: bytes = self._matcher.compute_ff_bytes()
        self._check("computing forced bytes")
        return data

    @property
    def finished(self) -> bool:
        """Whether nothing but an end token can follow."""
        stopped = bool(self._matcher.is_stopped())
        if stopped:
            self._check("reaching the end")
        return stopped

    @property
    def accepting(self) -> bool:
        """Whether the value may end here."""
        accepting = bool(self._matcher.is_accepting())
        self._check("looking for an end")
        return accepting

    def _check(self, doing: str) -> None:
        if self._matcher.is_error():
            raise EngineError(f"The grammar engine failed while {doing}: {self._matcher.get_error().strip()}")
