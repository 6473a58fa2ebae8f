"""The words of JSON (RFC 8259) in text that may break off: ends of runs, escapes, numbers."""

from __future__ import annotations

import re
from math import isinf
from typing import NamedTuple

SPACE = " \t\n\r"
LITERALS = (("true", True), ("false", False), ("null", None))

SPACE_END = re.compile(r"[^ \t\n\r]")
NUMBER_END = re.compile(r"[^-+.0-9eE]")
STRING_STOP = re.compile(r'["\\\x00-\x1f]')

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_BEGUN_NUMBER = re.compile(r"-?[0-9]{0,15}(?:\.[0-9]{0,15})?")
_ESCAPE = re.compile(r'\\(?:(["\\/bfnrt])|u([0-9a-fA-F]{4}))')
_ESCAPE_BEGUN = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?")
_LOW_SURROGATE = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_LOW_SURROGATE_BEGUN = re.compile(r"(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?")
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Escape(NamedTuple):
    """The character that an escape stands for, and where the escape ends."""

    char: str
    end: int


def find(end: re.Pattern[str], text: str, at: int) -> int:
    """Where ``end`` first matches from ``at`` on, else the length of the text."""
    found = end.search(text, at)
    return found.start() if found else len(text)


def unescape(text: str, at: int) -> Escape | None:
    """The escape at ``text[at]``, None where the text ends too early to tell.

    A surrogate pair is one escape; an unpaired surrogate is U+FFFD. Raises ValueError for an unknown escape.
    """
    found = _ESCAPE.match(text, at)
    if found is None:
        if _ESCAPE_BEGUN.fullmatch(text, at):
            return None
        raise ValueError("a string has an unknown escape")
    letter, digits = found.groups()
    if letter:
        return Escape(_CONTROLS.get(letter, letter), found.end())
    code = int(digits, 16)
    if 0xD800 <= code < 0xDC00:
        low = _LOW_SURROGATE.match(text, found.end())
        if low:
            return Escape(chr(0x10000 + ((code - 0xD800) << 10) + int(low[1], 16) - 0xDC00), low.end())
        if _LOW_SURROGATE_BEGUN.fullmatch(text, found.end()):
            return None
    return Escape("\ufffd" if 0xD800 <= code < 0xE000 else chr(code), found.end())


def may_be_number(text: str) -> bool:
    """Whether a text that begins so may be one that ``exact_number`` knows."""
    return _BEGUN_NUMBER.fullmatch(text) is not None


def exact_number(text: str) -> int | float | None:
    """The number that is written just as the text is, if it is no longer than what a float holds."""
    if not may_be_number(text) or _NUMBER.fullmatch(text) is None:
        return None
    number = to_number(text)
    return number if repr(number) == text else None


def to_number(text: str) -> int | float:
    """The number that the whole text is.

    Raises ValueError where it is none, where a float overflows, and for an integer of more digits than Python
    reads (``sys.get_int_max_str_digits``), as json.loads does.
    """
    number = _NUMBER.fullmatch(text)
    if number is None:
        raise ValueError("a number is malformed")
    if number[1] is None and number[2] is None:
        return int(text)  # its own ValueError says the limit
    value = float(text)
    if isinf(value):
        raise ValueError("a number is too large for a float")
    return value
