"""Guesses at how an answer goes on. Most of what an extraction writes stands already in the document, or in the
evidence that the model wrote before the value; see ``engine.draft`` for what becomes of a guess.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from local_retab.engine.draft import Guess
from local_retab.schema.hidden import NOT_STATED

MIN_BEGUN = 2  # bytes of a text before it is looked up
LONG = 4  # characters of a number that is not often met by chance
NEAR = 80  # bytes to the next cell of a row
_CELL = re.compile(rb"(?:[^\s\x00-\x1f\"\\]| (?! ))*")
_GAP = re.compile(rb"[ \t:]*\n?[ \t]*")
_SEPARATORS = re.compile(rb"(?<=\d),(?=\d{3})")
_ISO_DATE = re.compile(rb"\(= ([^)]*)\)")  # as ``dating`` writes them
_NUMBER = re.compile(rb"(?<![\w.-])-?\d+(?:\.\d+)?(?![\w-])")
_WORD = re.compile(rb"[a-z0-9]+")


class Copies:
    """Guesses for one answer about ``pages``; it is given the whole answer each time, and reads what is new of it.

    A value that has begun as a cell of the document goes on as that cell does; a value after its evidence is the
    evidence; else it is the cell after the label that the key names, or, and first of all in a row of a table, after
    the last cell that was copied.
    """

    def __init__(self, pages: Sequence[str], hidden_prefix: str) -> None:
        self._text = "\n".join(pages).encode("utf-8", "surrogatepass")
        self._labels = self._text.lower()
        self._prefix = hidden_prefix.encode("utf-8", "surrogatepass")
        self._read = 0
        self._quote: int | None = None  # where the string begins that is being written
        self._escaped = False
        self._keyed = False  # whether a value comes next
        self._start: int | None = None  # where the value begins that is being written, if it is no string
        self._open = bytearray()  # brackets
        self._key = b""
        self._evidence: dict[bytes, bytes] = {}
        self._place: int | None = None  # in the document: the end of the last cell that was copied

    def guess(self, output: bytes | bytearray) -> Guess | None:
        self._scan(output)
        if self._quote is not None:
            return self._rest(bytes(output[self._quote :])) if self._keyed else None
        if not self._keyed or self._start is None:
            return None
        begun = bytes(output[self._start :])
        if begun:
            return self._rest_of_number(begun) if begun[0] in b"-0123456789" else None
        return self._value() if output.endswith(b":") else None

    def _scan(self, output: bytes | bytearray) -> None:
        """Follow strings, keys and values up to the end of ``output``."""
        for index in range(self._read, len(output)):
            byte = output[index]
            if self._quote is not None:
                if self._escaped:
                    self._escaped = False
                elif byte == 0x5C:
                    self._escaped = True
                elif byte == 0x22:
                    self._ended(bytes(output[self._quote : index]))
                    self._quote = None
            elif byte == 0x22:
                self._quote, self._start = index + 1, None
            elif byte in b":,[]{}":
                self._between(byte, b"" if self._start is None else bytes(output[self._start : index]))
                self._start = index + 1 if self._keyed else None
        self._read = len(output)

    def _between(self, byte: int, value: bytes) -> None:
        """A bracket or separator; ``value`` is what it ends, if that is no string."""
        found = self._number(value) if byte in b",]}" else None
        # A short number may stand anywhere; near the last cell it is likely the one that is meant.
        near = found and (len(value) >= LONG or 0 <= found.start() - (self._place or 0) <= NEAR)
        if found and near and not found[1]:
            self._place = found.end()
        if byte in b"[{":
            self._open.append(byte)
        elif byte in b"]}":
            del self._open[-1:]
        self._keyed = byte in b":[" or (byte in b"," and self._open.endswith(b"["))

    def _ended(self, text: bytes) -> None:
        if not self._keyed:
            self._key = text
            return
        if self._key.startswith(self._prefix):
            self._evidence[self._key[len(self._prefix) :]] = text
        self._find(text)

    def _find(self, text: bytes) -> int | None:
        """Where ``text`` stands in the document, from the last place on if it does; remembered."""
        if len(text) < MIN_BEGUN:
            return None
        found = -1 if self._place is None else self._text.find(text, self._place)
        if found < 0:
            found = self._text.find(text)
        if found < 0:
            return None
        self._place = found + len(text)
        return found

    def _number(self, text: bytes, evidence: bytes = b"") -> re.Match[bytes] | None:
        """A number that begins as ``text``, of the evidence or else of the document; group 1 is its rest."""
        if not _NUMBER.match(text):
            return None
        rest = rb"(\d*)" if b"." in text else rb"((?:,?\d)*(?:\.\d+)?)"
        digits = b",?".join(re.escape(text[index : index + 1]) for index in range(len(text)))
        pattern = re.compile(rb"(?<![\d.,])" + digits + rest)
        return pattern.search(evidence) or pattern.search(self._text, self._place or 0) or pattern.search(self._text)

    def _rest_of_number(self, begun: bytes) -> Guess | None:
        found = self._number(begun, self._evidence.get(self._key, b""))
        return Guess("number", (found[1].replace(b",", b"") + b',"',)) if found else None

    def _rest(self, begun: bytes) -> Guess | None:
        """The rest of a string."""
        evidence = self._evidence.get(self._key, b"")
        if begun and evidence.startswith(begun) and len(evidence) > len(begun):
            return Guess("evidence", _closed(evidence[len(begun) :]))
        if not begun and (expected := self._expected()):
            return Guess(expected[0], _closed(expected[1]))
        if len(begun) < MIN_BEGUN or b"\\" in begun:
            return None
        found = self._text.find(begun, self._place or 0)
        if found < 0:
            found = self._text.find(begun)
        if found < 0:
            return None
        cell = _CELL.match(self._text, found + len(begun))
        assert cell is not None  # it may be empty
        return Guess(f"cell after {min(len(begun), 8) // 2}", _closed(cell[0].rstrip()))

    def _value(self) -> Guess | None:
        """A whole value."""
        if self._evidence.get(self._key) == NOT_STATED.encode():
            return Guess("no evidence", (b'null,"', b"null}"))
        expected = self._expected()
        return Guess(expected[0], _values(expected[1])) if expected else None

    def _expected(self) -> tuple[str, bytes] | None:
        """How a text was found that may be the value, and the text."""
        if (evidence := self._evidence.get(self._key)) is not None:
            iso = _ISO_DATE.search(evidence)
            return "evidence", iso[1] if iso else evidence
        if b"[" in self._open and self._place is not None and (cell := self._cell(self._place)):
            return "row", cell
        words = _WORD.findall(self._key.removeprefix(self._prefix).lower())
        for label in (b" ".join(words), b" ".join(reversed(words))):
            found = self._labels.find(label) if label else -1
            if found >= 0 and (cell := self._cell(found + len(label))):
                return "labelled", cell
        if self._place is not None and (cell := self._cell(self._place)):
            return "next", cell
        return None

    def _cell(self, end: int) -> bytes:
        gap = _GAP.match(self._text, end)
        assert gap is not None
        cell = _CELL.match(self._text, gap.end())
        assert cell is not None
        return cell[0].rstrip()


def _closed(text: bytes) -> tuple[bytes, ...]:
    return (text + b'","', text + b'"}')


def _values(text: bytes) -> tuple[bytes, ...]:
    """A text as a string, and the last number in it where no string may stand."""
    numbers = _NUMBER.findall(_SEPARATORS.sub(b"", text))
    return (b'"' + text + b'","', *(number + b',"' for number in numbers[-1:]))
