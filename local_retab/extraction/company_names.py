"""The name of a company: the registered one rather than the brand beside it, and without its registration number.

Receipts and letterheads print the number behind the name or below it, and a small model copies on. They print a brand
above or below the name of the company that trades under it, and a small model takes what comes first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from local_retab.extraction.field_names import open_text, words_of
from local_retab.extraction.folding import folded

_COMPANIES = frozenset(
    {"company", "vendor", "supplier", "merchant", "seller", "store", "shop", "issuer", "firma", "lieferant", "empresa"}
)
_REGISTRATION = r"(?:[(\[] ?(?:[a-z. ]{1,16}[:.]? ?)?\d{5,}[\d -]*[a-z]? ?[)\]]|\d{4,}-[a-z](?!\w))"
_FIRST = re.compile(r"\s*[(\[\d]")
_BRANDED = frozenset({"shop", "store", "merchant"})
"""Those that may go by their brand."""
_FORMS = (
    "sdn bhd|bhd|s/b|pte|pty|ltd|limited|llc|llp|plc|inc|incorporated|corp|corporation|company|gmbh|ag|kg|ohg|ug|e k|"
    "se|s a|sa|sas|sarl|s a r l|srl|s r l|spa|s p a|s l|sl|slu|ltda|lda|b v|bv|n v|nv|oy|oyj|ab|a/s|aps|asa|kft|zrt|"
    "s r o|sp z o o|d o o|k k|co"
)
_LEGAL = re.compile(rf"[^\W\d_].* (?:{_FORMS})(?: [(\[].*)?", re.DOTALL)
"""A name with its legal form, and its registration number behind it or not."""
_GAP = re.compile(r"\S {2,}\S")
_HEAD = 8
"""Lines of a first page that name who wrote it."""


class CompanyNames:
    """What stands behind the names in a document; ``texts`` are those of its pages."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def refuses(self, output: bytes | bytearray, token: bytes) -> bool:
        """Whether ``token`` after ``output``, the JSON so far, begins a brand, or the registration number of a name."""
        if self._is_brand(output, token):
            return True
        if _FIRST.match(token.decode("utf-8", "ignore")) is None:
            return False
        name, text = open_text(output)
        if not text.strip() or not is_company(name):
            return False
        return re.search(rf"{re.escape(folded(text))} ?{_REGISTRATION}", self._text) is not None

    def _is_brand(self, output: bytes | bytearray, token: bytes) -> bool:
        """Whether a name begins, and the first line of the head that does so has a line with a legal form beside it."""
        if not self._brands or open_text(output)[1]:
            return False
        name, text = open_text(output, token)
        begun = folded(text)
        if not begun or not is_company(name) or _BRANDED.intersection(words_of(name)):
            return False
        if any(line.startswith(begun) for line in self._legal):
            return False
        return next((brand for line, brand in self._head if line.startswith(begun)), False)

    @cached_property
    def _brands(self) -> bool:
        return any(brand for _, brand in self._head)

    @cached_property
    def _legal(self) -> list[str]:
        """The lines and cells with a legal form, as they are compared."""
        cells = (cell for text in self._texts for line in text.split("\n") for cell in re.split(r" {2,}", line))
        return [folded(cell) for cell in cells if _LEGAL.fullmatch(_plain(cell))]

    @cached_property
    def _head(self) -> list[tuple[str, bool]]:
        """The first lines, and whether each is one name beside one with a legal form and has none itself."""
        lines = [line.strip() for line in (self._texts[0] if self._texts else "").split("\n") if line.strip()][:_HEAD]
        legal = [bool(_LEGAL.fullmatch(_plain(line))) and not _GAP.search(line) for line in lines]
        return [
            (folded(line), not legal[index] and not _GAP.search(line) and any(legal[max(index - 1, 0) : index + 2]))
            for index, line in enumerate(lines)
        ]

    @cached_property
    def _text(self) -> str:
        return folded(" ".join(self._texts))


def _plain(text: str) -> str:
    """A name with blanks for the dots and commas in it."""
    return folded(re.sub(r"[.,]", " ", text))


def is_company(name: str) -> bool:
    """Whether a property is the name of a company by its own name."""
    words = words_of(name)
    if words[-1:] == ["name"]:
        del words[-1]
    return bool(words) and words[-1] in _COMPANIES
