"""Texts as they are compared where case and blanks do not matter."""

from __future__ import annotations


def folded(text: str) -> str:
    """``text`` in one case, with single blanks between its words."""
    return " ".join(text.casefold().split())
