"""What may not be written although grammar and model would have it: the seam for those who know the document."""

from __future__ import annotations

from typing import Protocol

MOST_REFUSED = 16
"""Tokens that are refused at one place before the first of them is taken after all."""


class Veto(Protocol):
    """Judges each chosen token of an answer."""

    def refuses(self, output: bytes | bytearray, token: bytes) -> bool:
        """Whether the bytes of ``token`` must not follow ``output``, all that was written so far."""
        ...
