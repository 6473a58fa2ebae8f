"""Ending well: a short way out of a value that has to stop now, without the model.

A greedy walk over bytes: whatever the grammar forces is taken, and where there is a choice the byte that leads out
soonest comes first (close a string, an object, an array; null before other values; digits and letters where a
pattern wants them). A byte is tried as its own token, which byte-level vocabularies have for every byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_retab.engine.constraint import Constraint

_OUT = b'"}],'
_VALUES = b"n[{0-tf"
_INSIDE = b"123456789.: eEuasrlcdbghijkmopqtvwxyzABCDFGHIJKLMNOPQRSTUVWXYZ/_@+\\"
_PREFERENCE = bytes(dict.fromkeys(_OUT + _VALUES + _INSIDE + bytes(range(256))))
MAX_BYTES = 20_000


class Closer:
    """Closes values under any grammar over one vocabulary (an ``llguidance.LLTokenizer``)."""

    def __init__(self, tokenizer: Any) -> None:
        self._token_of: dict[int, int] = {}
        for byte in _PREFERENCE:
            tokens: list[int] = tokenizer.tokenize_bytes(bytes([byte]))
            if len(tokens) == 1 and tokenizer.decode_bytes(tokens) == bytes([byte]):
                self._token_of[byte] = tokens[0]

    def close(self, constraint: Constraint) -> bytes | None:
        """Bytes that complete the value, consumed in ``constraint``; None when no way out was found."""
        out = bytearray()
        while len(out) < MAX_BYTES:
            if constraint.finished or constraint.accepting:
                return bytes(out)
            forced = constraint.forced_bytes()
            if forced and all(byte in self._token_of for byte in forced):
                step = forced
            else:
                # A byte three times in a row gets nowhere, as in the 0.000 of a number that must exceed 0.
                worn = out[-1:] if out[-1:] * 3 == out[-3:] else b""
                step = self._best(constraint, but=worn) or self._best(constraint, but=b"")
            if not step:
                return None
            constraint.consume([self._token_of[byte] for byte in step])
            out += step
        return None

    def _best(self, constraint: Constraint, *, but: bytes | bytearray) -> bytes:
        allowed = (byte for byte, token in self._token_of.items() if byte not in but and constraint.allows(token))
        return bytes([byte]) if (byte := next(allowed, None)) is not None else b""
