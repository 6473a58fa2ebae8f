"""What a total is not: an amount that the document itself adds a tax or a rounding to; and where its text ends.

Receipts and invoices print a summary of taxes, `Total 70.75 4.25` of the 75.00 that are to be paid, or the amount
before it is rounded, and a small model takes the one for the other. So of a field that is a total by its name a token
is refused that leaves only such amounts of the document, and one that goes on behind the amount with what is no
currency.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property

from local_retab.extraction.field_names import open_value, words_of

_PARTIAL = frozenset({
    "sub", "subtotal", "net", "netto", "tax", "taxes", "taxable", "vat", "gst", "mwst", "iva", "tva", "before", "excl",
    "excluding", "exclusive", "without", "discount", "rounding", "count", "quantity", "qty", "items", "pages", "hours",
})  # fmt: skip
"""Words of names that are totals of something else than what is to be paid."""
_AMOUNT = re.compile(r"(?<![\d.,/-])(-?)(\d{1,3}(?:[,.' ]\d{3})+|\d+)[.,](\d{2})(?![\d/-]|[.,]\d)")
_ROUNDING = re.compile(r"round|rundung|arrondi|redonde|arroton", re.IGNORECASE)
_TOTAL = re.compile(r"total|gross|payable|due|brutto|gesamt|summe|somme|montant|importe|importo|totaal", re.IGNORECASE)
_MOST_ROUNDED = 100
"""Hundredths of what is rounded off at most."""
_TAXED = 3
"""What is taxed is more than so many times its tax; other sums of two amounts in a line are by chance."""
_BEGUN = re.compile(r"\d[\d,.' ]*")
_WRITTEN = re.compile(r"\d[.,]\d{2}")
_CURRENCY = re.compile(r"[A-Z]{2,3}|kr|zł|[Ee]uros?|[Dd]ollars?|[Pp]ounds?|[Rr]inggit|[Rr]upees?")


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
            return word[:1].isalpha() and _CURRENCY.fullmatch(word) is None
        begun = _BEGUN.search(text)
        if begun is None or begun.end() < len(text):
            return False
        left = {
            amount for amount in self._amounts if f"{amount // 100}.{amount % 100:02}".startswith(_readings(begun[0]))
        }
        return bool(left) and left <= self._summands

    @cached_property
    def _lines(self) -> list[tuple[str, list[int]]]:
        """The lines, and the amounts in each, in hundredths."""
        return [(line, list(_amounts(line))) for text in self._texts for line in text.split("\n")]

    @cached_property
    def _amounts(self) -> frozenset[int]:
        return frozenset(amount for _, amounts in self._lines for amount in amounts if amount > 0)

    @cached_property
    def _summands(self) -> set[int]:
        """The amounts that give a printed total with what is beside them in their line, or are rounded below it."""
        totals = {amount for line, amounts in self._lines if _TOTAL.search(line) for amount in amounts}
        found: set[int] = set()
        for index, (line, amounts) in enumerate(self._lines):
            if _ROUNDING.search(line):
                above = {amount for _, others in self._lines[:index] for amount in others}
                below = {amount for _, others in self._lines[index + 1 :] for amount in others}
                off = {abs(amount) for amount in amounts if 0 < abs(amount) < _MOST_ROUNDED}
                found |= {amount for amount in above for by in off if {amount - by, amount + by} & below} - below
            else:
                found |= {
                    amount
                    for amount in amounts
                    for tax in amounts
                    if 0 < tax * _TAXED < amount and amount + tax in totals
                }
        return found


def is_total(name: str) -> bool:
    """Whether a property is by its name the amount that is to be paid in all."""
    words = words_of(name)
    due = "amount" in words and bool({"due", "payable", "paid"}.intersection(words))
    return ("total" in words or due) and not _PARTIAL.intersection(words)


def _amounts(line: str) -> Iterator[int]:
    for sign, whole, hundredths in _AMOUNT.findall(line):
        yield int(f"{sign}{re.sub(r'[^0-9]', '', whole)}{hundredths}")


def _readings(text: str) -> tuple[str, ...]:
    """The begun amount that a text may be: its last separator is that of the hundredths, or of thousands."""
    digits = re.sub(r"[^0-9]", "", text)
    found = re.fullmatch(r".*\d[.,](\d{0,2})", text)
    if found is None:
        return (digits,)
    return digits, f"{digits[: len(digits) - len(found[1])]}.{found[1]}"
