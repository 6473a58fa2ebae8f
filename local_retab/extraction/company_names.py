"""Where the name of a company ends: before its registration number.

Receipts and letterheads print the number behind the name or below it, and a small model copies on.
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


class CompanyNames:
    """What stands behind the names in a document; ``texts`` are those of its pages."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def refuses(self, output: bytes | bytearray, token: bytes) -> bool:
        """Whether ``token`` after ``output``, the JSON so far, begins the registration number behind a name."""
        if _FIRST.match(token.decode("utf-8", "ignore")) is None:
            return False
        name, text = open_text(output)
        if not text.strip() or not is_company(name):
            return False
        return re.search(rf"{re.escape(folded(text))} ?{_REGISTRATION}", self._text) is not None

    @cached_property
    def _text(self) -> str:
        return folded(" ".join(self._texts))


def is_company(name: str) -> bool:
    """Whether a property is the name of a company by its own name."""
    words = words_of(name)
    if words[-1:] == ["name"]:
        del words[-1]
    return bool(words) and words[-1] in _COMPANIES
