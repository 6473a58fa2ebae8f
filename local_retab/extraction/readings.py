"""What a printed text can mean as a number or a date: every reading, since print does not say which one is meant."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import pairwise

_NUMBER = re.compile(r"\d[\d.,'’]*")
_GROUPED = re.compile(r"(?<![\d.,'’])(\d{1,3})((?:([.,'’])\d{3})(?:\3\d{3})*)(?:[.,](\d+))?(?![\d.,'’]*\d)")
_MONTHS = (
    "jan janv januar enero gennaio janeiro januari",
    "feb fév fev februar febrero febbraio fevereiro februari",
    "mar mär märz mars marzo março maart mrt",
    "apr avr april avril abril aprile",
    "may mai mayo maggio maio mei",
    "jun juin juni junio giugno junho",
    "jul juil juillet juli julio luglio julho",
    "aug aoû août aout agosto augustus",
    "sep sept settembre setembro set",
    "oct okt oktober octobre octubre ottobre outubro out ott",
    "nov november novembre noviembre novembro",
    "dec déc dez dezember décembre diciembre dicembre dezembro dic",
)
_MONTH_OF = {name: number for number, names in enumerate(_MONTHS, start=1) for name in names.split()}
_ENGLISH = "january february march april may june july august september october november december"
_MONTH_OF |= {name: number for number, name in enumerate(_ENGLISH.split(), start=1)}
_MONTH = "(" + "|".join(sorted(_MONTH_OF, key=len, reverse=True)) + r")(?![^\W\d_])\.?"
_SEPARATOR = r"\s*[./\-\s,]\s*"
_NUMERIC = re.compile(rf"(?<!\d)(\d{{1,4}}){_SEPARATOR}(\d{{1,2}}){_SEPARATOR}(\d{{2,4}})(?!\d)")
_COMPACT = re.compile(r"(?<!\d)(\d{8})(?!\d)")
_YEAR = r"(\d{4}|\d{2})(?!\d)"
_DAY_FIRST = re.compile(
    rf"(?<!\d)(\d{{1,2}})(?:st|nd|rd|th|er|º|\.)?(?:\s+day\s+of|\s+de)?[\s\-./,]*{_MONTH}(?:\s+de)?[\s\-./,']*{_YEAR}"
)
_MONTH_FIRST = re.compile(rf"(?<![^\W\d_]){_MONTH}[\s\-./]*(\d{{1,2}})(?:st|nd|rd|th)?[\s,.\-/]+{_YEAR}")
_CENTURY_FROM = 70
"""Two-digit years from here on are of the last century."""


@lru_cache(maxsize=8192)
def numbers(text: str) -> frozenset[float]:
    """Every value that the first number in ``text`` can have: 1.234 is 1.234 or 1234, (5) is -5 or 5, 7% is 7 or
    0.07. A sign is one reading, as minus signs are also dashes."""
    found = _NUMBER.search(text)
    if found is None:
        return frozenset()
    values = {value for digits in _plain(found[0].rstrip(".,'’")) for value in [float(digits)]}
    before, after = text[: found.start()], text[found.end() :]
    if "%" in after:
        values |= {value / 100 for value in values}
    if "-" in before or "−" in before or ("(" in before and ")" in after) or after.strip().startswith("-"):
        values |= {-value for value in values}
    return frozenset(values)


def printed_numbers(words: Sequence[str]) -> Iterator[float]:
    """The magnitude of every number that a row of words can show, to six decimals.

    Blanks stand for thousands as well: up to three words are tried as one number.
    """
    for start in range(len(words)):
        for count in (1, 2, 3):
            for value in numbers("".join(words[start : start + count])):
                yield round(abs(value), 6)


def slips(text: str) -> Iterator[tuple[str, float]]:
    """How a number that is printed with thousands separators is written by who must not write one and takes the first
    for the decimal point: `12,345.67` as `12.34567`; and the number."""
    for found in _GROUPED.finditer(text):
        first, groups, mark, fraction = found.groups()
        rest = groups.replace(mark, "")
        yield f"{first}.{rest}{fraction or ''}", float(f"{first}{rest}.{fraction or 0}")


def _plain(digits: str) -> set[str]:
    """Digits with separators as plain decimals, in each way that they can be read."""
    digits = digits.replace("'", "").replace("’", "")
    points, commas = digits.count("."), digits.count(",")
    if points and commas:
        decimal = max(digits.rfind("."), digits.rfind(","))
        return {re.sub(r"[.,]", "", digits[:decimal]) + "." + re.sub(r"[.,]", "", digits[decimal + 1 :])}
    if points + commas == 0:
        return {digits}
    if points + commas > 1:
        return {re.sub(r"[.,]", "", digits)}
    whole, _, fraction = digits.replace(",", ".").partition(".")
    return {f"{whole}.{fraction}", whole + fraction} if len(fraction) == 3 else {f"{whole}.{fraction}"}


@lru_cache(maxsize=8192)
def dates(text: str) -> frozenset[date]:
    """Every day that a date written in ``text`` can be, in numbers or with a month's name in a European language."""
    text = text.casefold()
    triples: set[tuple[str | int, ...]] = set()
    for first, second, third in _NUMERIC.findall(text):
        if len(first) == 4:
            triples.add((first, second, third))
        elif len(first) <= 2:
            triples |= {(third, second, first), (third, first, second)}
            if len(third) == 2:
                triples.add((first, second, third))
    for digits in _COMPACT.findall(text):
        triples |= {(digits[:4], digits[4:6], digits[6:]), (digits[4:], digits[2:4], digits[:2])}
    triples |= {(year, _MONTH_OF[month], day) for day, month, year in _DAY_FIRST.findall(text)}
    triples |= {(year, _MONTH_OF[month], day) for month, day, year in _MONTH_FIRST.findall(text)}
    days = (_date(str(year), int(month), int(day)) for year, month, day in triples)
    return frozenset(day for day in days if day is not None)


_WORD = re.compile(r"\d+|[^\W\d_]+")
_ORDINAL_WORDS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth"
)
_ORDINALS = {name: number for number, name in enumerate(_ORDINAL_WORDS.split(), start=1)} | {"thirtieth": 30}
_TENS = {"twenty": 20, "thirty": 30}


@dataclass(frozen=True, slots=True)
class DateParts:
    """Years, months and days that words can show, each by itself; ``named`` are the months that stand there by name."""

    years: frozenset[int]
    months: frozenset[int]
    days: frozenset[int]
    named: frozenset[int]

    @classmethod
    def of(cls, words: Sequence[str]) -> DateParts:
        found = [word for text in words for word in _WORD.findall(text.casefold())]
        digits = [word for word in found if word.isdecimal()]
        # Digits without marks: 20240315, 150324.
        digits += [part for word in digits if len(word) in (6, 8) for part in (word[:4], word[-4:], *_pairs(word))]
        small = {int(word) for word in digits if len(word) <= 2}
        for before, word in pairwise(["", *found]):
            if word in _ORDINALS:
                small |= {_ORDINALS[word], _TENS.get(before, 0) + _ORDINALS[word]}
        named = frozenset(_MONTH_OF[word] for word in found if word in _MONTH_OF)
        years = frozenset(_year(word) for word in digits if len(word) in (2, 4))
        return cls(years, named | small, frozenset(small), named)

    def with_next(self, other: DateParts) -> DateParts:
        """What these words and the following ones show together."""
        return DateParts(
            self.years | other.years, self.months | other.months, self.days | other.days, self.named | other.named
        )

    def show(self, day: date) -> bool:
        """Whether they show a day, or the month that it begins or ends."""
        if day.year not in self.years:
            return False
        edge = day.day in (1, monthrange(day.year, day.month)[1])
        return (day.month in self.months and day.day in self.days) or (edge and day.month in self.named)


def _pairs(digits: str) -> list[str]:
    return [digits[start : start + 2] for start in range(0, len(digits), 2)]


def _year(digits: str) -> int:
    number = int(digits)
    return number if len(digits) > 2 else number + (1900 if number >= _CENTURY_FROM else 2000)


def _date(year: str, month: int, day: int) -> date | None:
    try:
        return date(_year(year), month, day)
    except ValueError:
        return None
