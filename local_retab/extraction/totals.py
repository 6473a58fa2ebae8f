"""What a total is not: an amount that the document itself adds a tax or a rounding to; and where its text ends.

Receipts and invoices print a summary of taxes, `Total 70.75 4.25` of the 75.00 that are to be paid, or the amount
before it is rounded, and a small model takes the one for the other. So of a field that is a total by its name a token
is refused that leaves only such amounts of the document, and one that goes on behind the amount with what is no
currency.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice

from local_retab.extraction.currencies import is_currency
from local_retab.extraction.field_names import open_value, words_of

_PARTIAL = frozenset({
    "sub", "subtotal", "net", "netto", "tax", "taxes", "taxable", "vat", "gst", "mwst", "iva", "tva", "before", "excl",
    "excluding", "exclusive", "without", "discount", "rounding", "count", "quantity", "qty", "items", "pages", "hours",
})  # fmt: skip
"""Words of names that are totals of something else than what is to be paid."""
_AMOUNT = re.compile(r"(?<![\d.,/-])(-?)(\d{1,3}(?:[,.' ]\d{3}){1,4}|\d{1,15})[.,](\d{2})(?![\d/-]|[.,]\d)")
_ROUNDING = re.compile(r"round|rundung|arrondi|redonde|arroton", re.IGNORECASE)
_TOTAL = re.compile(r"total|gross|payable|due|brutto|gesamt|summe|somme|montant|importe|importo|totaal", re.IGNORECASE)
_NEAR = 20
"""Lines above and below a rounding that are looked at."""
_MOST_AMOUNTS = 12
"""Of a line that is a sum; no more are looked at."""
_MOST_ROUNDED = 100
"""Hundredths of what is rounded off at most."""
_TAXED = 3
"""What is taxed is more than so many times its tax; other sums of two amounts in a line are by chance."""
_BEGUN = re.compile(r"\d[\d,.' ]*")
_WRITTEN = re.compile(r"\d[.,]\d{2}")


class Totals:
    """The amounts of a document; ``texts`` are those of its pages."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def refuses(self, output: bytes | bytearray, token: bytes) -> bool:
        """Whether ``token`` after ``output``, the JSON so far, makes a total what it cannot be."""
        name, text = open_value(output, token)
        if not text or not is_total(name):
            return False
        written = open_value(output)[1]
        if _WRITTEN.fullmatch(written[-4:]):
            word = text[len(written) :].strip()
            return word[:1].isalpha() and not is_currency(word)
        begun = _BEGUN.search(text)
        if begun is None or begun.end() < len(text):
            return False
        return self._only_parts(_readings(begun[0]))

    def _only_parts(self, begun: Sequence[str]) -> bool:
        """Whether amounts of the document begin so, and all of them are parts of others."""
        found = False
        for beginning in begun:
            for place in range(bisect_left(self._amounts, beginning), len(self._amounts)):
                if not self._amounts[place].startswith(beginning):
                    break
                if self._amounts[place] not in self._summands:
                    return False
                found = True
        return found

    @cached_property
    def _lines(self) -> list[tuple[str, list[int]]]:
        """The lines, and the first amounts in each, in hundredths."""
        return [
            (line, list(islice(_amounts(line), _MOST_AMOUNTS))) for text in self._texts for line in text.split("\n")
        ]

    @cached_property
    def _amounts(self) -> list[str]:
        """The printed amounts as plain numbers, sorted."""
        return sorted({_number(amount) for _, amounts in self._lines for amount in amounts if amount > 0})

    @cached_property
    def _summands(self) -> frozenset[str]:
        """The amounts that give a printed total with what is beside them in their line, or are rounded below it."""
        totals = {amount for line, amounts in self._lines if _TOTAL.search(line) for amount in amounts}
        found: set[int] = set()
        for index, (line, amounts) in enumerate(self._lines):
            if _ROUNDING.search(line):
                above = self._near(max(index - _NEAR, 0), index)
                below = self._near(index + 1, index + 1 + _NEAR)
                off = {abs(amount) for amount in amounts if 0 < abs(amount) < _MOST_ROUNDED}
                found |= {amount for amount in above for by in off if {amount - by, amount + by} & below} - below
            else:
                found |= {
                    amount
                    for amount in amounts
                    for tax in amounts
                    if 0 < tax * _TAXED < amount and amount + tax in totals
                }
        return frozenset(map(_number, found))

    def _near(self, start: int, end: int) -> set[int]:
        return {amount for _, amounts in self._lines[start:end] for amount in amounts}


def is_total(name: str) -> bool:
    """Whether a property is by its name the amount that is to be paid in all."""
    words = words_of(name)
    due = "amount" in words and bool({"due", "payable", "paid"}.intersection(words))
    return ("total" in words or due) and not _PARTIAL.intersection(words)


def _amounts(line: str) -> Iterator[int]:
    for sign, whole, hundredths in _AMOUNT.findall(line):
        yield int(f"{sign}{re.sub(r'[^0-9]', '', whole)}{hundredths}")


def _number(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02}"


def _readings(text: str) -> tuple[str, ...]:
    """The begun amount that a text may be: its last separator is that of the hundredths, or of thousands."""
    digits = re.sub(r"[^0-9]", "", text)
    found = re.fullmatch(r".*\d[.,](\d{0,2})", text)
    if found is None:
        return (digits,)
    return digits, f"{digits[: len(digits) - len(found[1])]}.{found[1]}"
