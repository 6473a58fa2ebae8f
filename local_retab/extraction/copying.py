"""Guesses at how an answer goes on. Most of what an extraction writes stands already in the document, or in the
evidence that the model wrote before the value; see ``engine.draft`` for what becomes of a guess.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from local_retab.engine.draft import Guess
from local_retab.schema.hidden import NOT_STATED

MIN_BEGUN = 2  # bytes of a text before it is looked up
_CELL = re.compile(rb"(?:[^\s\x00-\x1f\"\\]| (?! ))*")
_GAP = re.compile(rb"[ \t:]*\n?[ \t]*")
_SEPARATORS = re.compile(rb"(?<=\d),(?=\d{3})")
_ISO_DATE = re.compile(rb"\(= ([^)]*)\)")  # as ``dating`` writes them
_WORD = re.compile(rb"[a-z0-9]+")


class Copies:
    """Guesses for one answer about ``pages``; it is given the whole answer each time, and reads what is new of it.

    A string that has begun as a cell of the document goes on as that cell does; a value after its evidence is the
    evidence; else it is the cell after the last one that was copied, or after the label that the key names.
    """

    def __init__(self, pages: Sequence[str], hidden_prefix: str) -> None:
        self._text = "\n".join(pages).encode("utf-8", "surrogatepass")
        self._labels = self._text.lower()
        self._prefix = hidden_prefix.encode("utf-8", "surrogatepass")
        self._read = 0
        self._quote: int | None = None  # where the string begins that is being written
        self._escaped = False
        self._keyed = False  # whether a value comes next
        self._key = b""
        self._evidence: dict[bytes, bytes] = {}
        self._place: int | None = None  # in the document: the end of the last cell that was copied

    def guess(self, output: bytes | bytearray) -> Guess | None:
        self._scan(output)
        if self._quote is not None:
            return self._rest(bytes(output[self._quote :])) if self._keyed else None
        if self._keyed and output.endswith(b":"):
            return self._value()
        return None

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
                self._quote = index + 1
            elif byte == 0x3A:
                self._keyed = True
            elif byte in b",{":
                self._keyed = False
            elif byte in b"[":
                self._keyed = True
        self._read = len(output)

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

    def _rest(self, begun: bytes) -> Guess | None:
        """The rest of a string."""
        evidence = self._evidence.get(self._key, b"")
        if evidence.startswith(begun) and len(evidence) > len(begun):
            return Guess("evidence", _closed(evidence[len(begun) :]))
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
        """A whole value, with the space before it."""
        evidence = self._evidence.get(self._key)
        if evidence is not None:
            if evidence == NOT_STATED.encode():
                return Guess("no evidence", (b" null,",))
            iso = _ISO_DATE.search(evidence)
            return Guess("evidence", _values(iso[1] if iso else evidence))
        label = b" ".join(_WORD.findall(self._key.removeprefix(self._prefix).lower()))
        found = self._labels.find(label) if label else -1
        if found >= 0 and (cell := self._cell(found + len(label))):
            return Guess("labelled", _values(cell))
        if self._place is not None and (cell := self._cell(self._place)):
            return Guess("next", _values(cell))
        return None

    def _cell(self, end: int) -> bytes:
        gap = _GAP.match(self._text, end)
        assert gap is not None
        cell = _CELL.match(self._text, gap.end())
        assert cell is not None
        return cell[0].rstrip()


def _closed(text: bytes) -> tuple[bytes, ...]:
    return (text + b'",', text + b'"')


def _values(text: bytes) -> tuple[bytes, ...]:
    """A text as a string, and as the number that it is where no string may stand."""
    return (b' "' + text + b'",', b" " + _SEPARATORS.sub(b"", text) + b",")
