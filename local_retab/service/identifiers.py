"""Ids in the hosted form."""

from __future__ import annotations

import secrets
import time


def new_id(prefix: str) -> str:
    """A fresh id: the kind, an underscore, and 26 characters that sort by time."""
    return f"{prefix}_{base32(time.time_ns() // 1_000_000, 10)}{base32(secrets.randbits(80), 16)}"


def base32(number: int, length: int) -> str:
    """``number`` in Crockford's base 32, ``length`` digits, as ULIDs are written."""
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return "".join(digits[(number >> 5 * place) & 31] for place in reversed(range(length)))
