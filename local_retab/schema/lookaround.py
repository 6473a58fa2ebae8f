"""Lookaround at the ends of a pattern as patterns of their own, which no engine of the grammar has.

``^(?!A)B`` is what ``^B`` matches and ``^(?:A)`` does not, ``^(?=A)B`` what both match, and ``B(?<!A)$`` what ``B$``
matches and ``(?:A)$`` does not: each of them looks at the whole text, so that order does not count.
"""

from __future__ import annotations

from functools import lru_cache

import regex

from local_retab.schema.complement import complement_of

_AHEAD = regex.compile(r"\^\(\?([!=])")
_BEHIND = regex.compile(r"\(\?<([!=])")
_ANY = regex.compile(r"\(\?<?[!=]")


@lru_cache(maxsize=512)
def without_lookaround(pattern: str) -> tuple[str, ...] | None:
    """Patterns (ECMA 262) that a text matches, all of them, exactly if it matches ``pattern``; None where none are
    known. The pattern itself where it has no lookaround."""
    parts: list[str | None] = []
    while found := _AHEAD.match(pattern):
        end = _closing(pattern, 1)
        if end is None or _alternatives(pattern[end:]):
            return None
        looked = f"^(?:{pattern[found.end() : end - 1]})"
        parts.append(complement_of(looked) if found[1] == "!" else looked)
        pattern = f"^{pattern[end:]}"
    while pattern.endswith(")$") and (found := _last_behind(pattern)) and not _alternatives(pattern):
        looked = f"(?:{pattern[found.end() : -2]})$"
        parts.append(complement_of(looked) if found[1] == "!" else looked)
        pattern = f"{pattern[: found.start()]}$"
    if None in parts or any(_ANY.search(part) for part in (pattern, *parts) if part):
        return None
    return (*(() if parts and pattern in {"^", "$"} else (pattern,)), *(part for part in parts if part))


def _last_behind(pattern: str) -> regex.Match[str] | None:
    """The lookbehind that ends before the ``$`` at the end."""
    ends = (found for found in _BEHIND.finditer(pattern) if _closing(pattern, found.start()) == len(pattern) - 1)
    return next(ends, None)


def _closing(pattern: str, start: int) -> int | None:
    """Where the group that begins at ``start`` has ended; None when it does not end."""
    return next((at + 1 for at, level in _levels(pattern, start) if level == 0), None)


def _alternatives(pattern: str) -> bool:
    """Whether there is a ``|`` outside groups."""
    return any(level == 0 and pattern[at] == "|" for at, level in _levels(pattern, 0))


def _levels(pattern: str, start: int) -> list[tuple[int, int]]:
    """The places of ``(``, ``)`` and ``|`` outside classes, each with how many groups are open after it."""
    found, level, at, inside = [], 0, start, False
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            at += 1
        elif inside or char == "[":
            inside = char != "]"
        elif char in "()|":
            level += (char == "(") - (char == ")")
            found.append((at, level))
        at += 1
    return found
