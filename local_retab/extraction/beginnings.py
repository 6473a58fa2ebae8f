"""Where an address may begin: not with a date or a number that stands by itself in the document.

Between a name and its address receipts and letters often have a registration number, or the time of printing, and a
small model goes on with what follows the name. So of a text that is an address by the name of its property a token is
refused that makes it begin as such a line or cell does, and as no other word of the document; and digits are, if they
begin no number of the document that a word follows. Nor does an address begin behind the number of its house.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from local_retab.extraction.field_names import open_text, words_of
from local_retab.extraction.folding import folded
from local_retab.extraction.readings import dates

_ADDRESSES = frozenset({"address", "adresse", "anschrift", "direccion", "dirección", "indirizzo", "endereço", "adres"})
_OTHERS = frozenset({"email", "mail", "ip", "mac", "web", "internet", "wallet", "url"})
_CELL = re.compile(r"\S+(?: \S+)*")
_TIME = re.compile(r"\b\d{1,2}[:.]\d{2}(?:[:.]\d{2})?(?:\s*[ap]\.?m\b\.?)?", re.IGNORECASE)
_DAY = re.compile(r"\b\d{1,4}[./-]\d{1,2}[./-]\d{1,4}\b")
_WORD = re.compile(r"[^\W\d_]{2}")
_NUMBER = re.compile(r"[(\[]?[A-Za-z]{0,3}[-.: ]?\d[\d ./-]{4,}[-.]?[A-Za-z]{0,2}[)\]]?")
_NUMBERED = r"[\w/&-]*[.,;:]? ?[^\W\d_]{2}"
"""What follows the first digits of the number of a house."""
_BEHIND_NUMBER = re.compile(r"(?:(?:no|lot|unit|suite|block|blk|plot)[. :]*)*[\w/&-]*\d[\w/&-]*,? ?")
"""What stands in a cell before the name of a street. A dot behind the number counts lines of a list instead."""
_LONGEST_NUMBER = 40
_MAX_WORDS = 3
"""Of a cell that is a date: a month, a weekday, and a particle between them."""


class Beginnings:
    """What the words of a document can be the begin of; ``texts`` are those of its pages."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def refuses(self, output: bytes | bytearray, token: bytes) -> bool:
        """Whether ``token`` after ``output``, the JSON so far, is the begin of no address."""
        name, text = open_text(output, token)
        begun = folded(text)
        if not begun or not is_address(name):
            return False
        word = rf"(?<![^\s(,:;]){re.escape(begun)}"
        if begun.isdigit():
            return re.search(word + _NUMBERED, self._rest) is None
        if not open_text(output)[1] and self._behind_number(word):
            return True
        return any(cell.startswith(begun) for cell in self._alone) and re.search(word, self._rest) is None

    def _behind_number(self, word: str) -> bool:
        """Whether ``word`` begins words of the document, and each of them behind the number of a house."""
        places = [
            found.start() <= _LONGEST_NUMBER and _BEHIND_NUMBER.fullmatch(cell, 0, found.start()) is not None
            for cell in self._rest.split("\n")
            for found in re.finditer(word, cell)
        ]
        return bool(places) and all(places)

    @cached_property
    def _cells(self) -> list[str]:
        return [folded(cell[0]) for text in self._texts for line in text.split("\n") for cell in _CELL.finditer(line)]

    @cached_property
    def _alone(self) -> list[str]:
        """The cells that are a date or a number by themselves."""
        return [cell for cell in dict.fromkeys(self._cells) if _NUMBER.fullmatch(cell) or _is_date(cell)]

    @cached_property
    def _rest(self) -> str:
        """The other cells that have a word, without the times and dates in them."""
        alone = set(self._alone)
        return "\n".join(_DAY.sub("\n", _TIME.sub("\n", c)) for c in self._cells if c not in alone and _WORD.search(c))


def is_address(name: str) -> bool:
    """Whether a property is an address by its name."""
    words = words_of(name)
    return bool(words) and words[-1] in _ADDRESSES and not _OTHERS.intersection(words)


def _is_date(cell: str) -> bool:
    text = _TIME.sub(" ", cell)
    return len(re.findall(r"[^\W\d_]+", text)) <= _MAX_WORDS and bool(dates(text))
