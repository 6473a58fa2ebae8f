"""Regular expressions from ECMA 262, which JSON Schema is written in, to the syntax of Rust's engine.

What differs is written out: character classes are ASCII in ECMA 262 (but for ``\\s``), ``.`` leaves out four line ends
and not one, ``{`` and ``]`` may stand for themselves, and a ``[`` inside a class is a character. The result is also
the syntax of Python's ``regex`` module, but for the word boundary, whose text is the caller's choice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LAST = "\U0010ffff"
_SPACE = "\t-\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_NO_SPACE = (
    "\0-\b\x0e-\x1f!-\u009f\u00a1-\u167f\u1681-\u1fff\u200b-\u2027\u202a-\u202e\u2030-\u205e\u2060-\u2fff"
    f"\u3001-\ufefe\uff00-{LAST}"
)
_CLASSES = {
    "d": "0-9",
    "D": f"\0-/:-{LAST}",
    "w": "0-9A-Z_a-z",
    "W": f"\0-/:-@\\[-^`{{-{LAST}",
    "s": _SPACE,
    "S": _NO_SPACE,
}
_DOT = "[^\n\r\u2028\u2029]"
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "v": "\v", "f": "\f", "0": "\0"}
_CODE = re.compile(r"c([A-Za-z])|x([0-9a-fA-F]{2})|u\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})")
_LOW_SURROGATE = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_PROPERTY = re.compile(r"[pP]\{[^}]*\}")
_QUANTIFIER = re.compile(r"\{\d+(,\d*)?\}")
_AS_THEY_ARE = re.compile(r"[1-9]\d*|[AzZ]")  # back references, and anchors of other dialects
_NAMED_REFERENCE = re.compile(r"k<(\w+)>")
_FOREIGN = re.compile(r"(?<!\\)(?:\\\\)*(?:\\(?![cdDwWsSbBtnrvfxukpP0-9])[A-Za-z]|\(\?(?:[a-zA-Z]+\)|P))")
_META = frozenset("\\.+*?()|[]{}^$#&-~/")


@dataclass(slots=True)
class _Reader:
    pattern: str
    boundary: str
    end: str
    at: int = 0

    def translate(self) -> str:
        parts = []
        while self.at < len(self.pattern):
            parts.append(self._piece())
        return "".join(parts)

    def _piece(self) -> str:
        char = self.pattern[self.at]
        if char == "\\":
            return self._escape(inside=False)
        if char == "[":
            return self._class()
        if char == "{" and (found := _QUANTIFIER.match(self.pattern, self.at)):
            self.at = found.end()
            return found[0]
        self.at += 1
        if char == ".":
            return _DOT
        if char == "$":
            return self.end
        return f"\\{char}" if char in "{}]" else char

    def _escape(self, *, inside: bool) -> str:
        self.at += 1
        if self.at == len(self.pattern):
            return "\\"  # no engine reads it
        char = self.pattern[self.at]
        if char in _CLASSES:
            self.at += 1
            return _CLASSES[char] if inside else f"[{_CLASSES[char]}]"
        if char in "bB":
            self.at += 1
            return "\\x08" if inside else self.boundary.replace("b", char)
        if not inside and (found := _NAMED_REFERENCE.match(self.pattern, self.at)):
            self.at = found.end()
            return f"(?P={found[1]})"
        for known in (_PROPERTY, *(() if inside else (_AS_THEY_ARE,))):
            if found := known.match(self.pattern, self.at):
                self.at = found.end()
                return f"\\{found[0]}"
        return literal(self._character())

    def _character(self) -> str:
        """The character that an escape stands for, ``at`` being behind the backslash."""
        found = _CODE.match(self.pattern, self.at)
        if found is None:
            char = self.pattern[self.at]
            self.at += 1
            return _CONTROLS.get(char, char)
        self.at = found.end()
        letter, *codes = found.groups()
        code = ord(letter) % 32 if letter else int(next(digits for digits in codes if digits), 16)
        if 0xD800 <= code < 0xDC00 and (low := _LOW_SURROGATE.match(self.pattern, self.at)):
            self.at = low.end()
            code = 0x10000 + ((code - 0xD800) << 10) + int(low[1], 16) - 0xDC00
        return chr(code) if code <= 0x10FFFF and not 0xD800 <= code < 0xE000 else "\ufffd"

    def _class(self) -> str:
        start = self.at
        self.at += 1
        negated = self.pattern.startswith("^", self.at)
        self.at += negated
        parts: list[str] = []
        while self.at < len(self.pattern) and self.pattern[self.at] != "]":
            parts.append(self._member())
            two = self.pattern[self.at : self.at + 2]
            if len(two) == 2 and two[0] == "-" and two[1] != "]":
                self.at += 1
                last = self._member()
                single = len(parts[-1].lstrip("\\")) < 2 and len(last.lstrip("\\")) < 2
                parts.append(f"-{last}" if single else f"\\-{last}")  # next to a class a dash is a character
        if self.at == len(self.pattern):
            self.at = len(self.pattern)
            return self.pattern[start:]  # without an end: no engine reads it
        self.at += 1
        if not parts:
            return f"[\0-{LAST}]" if negated else f"[^\0-{LAST}]"
        return f"[{'^' if negated else ''}{''.join(parts)}]"

    def _member(self) -> str:
        if self.pattern[self.at] == "\\":
            return self._escape(inside=True)
        self.at += 1
        return literal(self.pattern[self.at - 1])


def translate(pattern: str, *, boundary: str = r"(?-u:\b)", end: str = "$") -> str:
    """The pattern in Rust's syntax; ``boundary`` and ``end`` are the texts for a word boundary and for ``$``."""
    return _Reader(pattern, boundary, end).translate()


def is_ecma(pattern: str) -> bool:
    """Whether the pattern has none of what other dialects have and ECMA 262 has not.

    Those are escapes of further letters, flags for all of the pattern, and Python's named groups.
    """
    return _FOREIGN.search(pattern) is None


def literal(char: str) -> str:
    """A character of a pattern, or of a class, that stands for itself."""
    return f"\\{char}" if char in _META else char
