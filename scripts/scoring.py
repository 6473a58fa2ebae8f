"""Scoring rules of the evaluation sets, each as its set's README states them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any

from rapidfuzz import fuzz

DATE_FORMATS = ("%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%B %d, %Y", "%b %d, %Y", "%d %B %Y")
DAY_FIRST_FORMATS = (
    *("%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y", "%d/%m/%y", "%d-%m-%y", "%d.%m.%y", "%Y-%m-%d", "%Y/%m/%d", "%Y%m%d"),
    *("%d %b %Y", "%d %b %y", "%d-%b-%Y", "%d-%b-%y", "%d/%b/%Y", "%d %B %Y", "%d %B %y", "%d%b%Y", "%d%b%y"),
    *("%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y", "%b %d,%Y", "%B %d,%Y"),
)
SIMILAR = 0.9


class Outcome(Enum):
    """What became of one field."""

    MATCH = "match"
    WRONG = "wrong"
    MISS = "miss"
    HALLUCINATION = "hallucination"
    CORRECT_ABSENCE = "correct_absence"

    @property
    def right(self) -> bool:
        return self in (Outcome.MATCH, Outcome.CORRECT_ABSENCE)

    @property
    def at_floor(self) -> bool:
        """Whether null for everything would be right here: there is no answer."""
        return self in (Outcome.CORRECT_ABSENCE, Outcome.HALLUCINATION)


@dataclass(frozen=True, slots=True)
class Score:
    """A field's outcome, and what of it counts: 1 or 0, or the F1 of a list."""

    outcome: Outcome
    credit: float


def score(gold: Any, value: Any, same: Callable[[Any, Any], bool]) -> Score:
    """One field: absent is null or an empty list; ``same`` compares two values that are there, list items singly."""
    if is_absent(gold):
        right = is_absent(value)
        return Score(Outcome.CORRECT_ABSENCE if right else Outcome.HALLUCINATION, float(right))
    if is_absent(value):
        return Score(Outcome.MISS, 0.0)
    if isinstance(gold, list):
        credit = list_f1(gold, value if isinstance(value, list) else [value], same)
        return Score(Outcome.MATCH if credit == 1.0 else Outcome.WRONG, credit)
    right = same(gold, value)
    return Score(Outcome.MATCH if right else Outcome.WRONG, float(right))


def is_absent(value: Any) -> bool:
    return value is None or value == []


def list_f1(gold: Sequence[Any], found: Sequence[Any], same: Callable[[Any, Any], bool]) -> float:
    """F1 of two lists without regard to order, each item used once."""
    left = list(found)
    hits = 0
    for item in gold:
        index = next((i for i, other in enumerate(left) if same(item, other)), None)
        if index is not None:
            left.pop(index)
            hits += 1
    return 2 * hits / (len(gold) + len(found))


# The hosted API's cookbook benchmark: numbers within max(0.01, 0.1 %), dates as dates, other strings without
# regard to case and blanks.


def score_retab_field(gold: Any, value: Any) -> Outcome:
    """The rules of the hosted API's cookbook benchmark."""
    return score(gold, value, same_retab).outcome


def same_retab(gold: Any, value: Any) -> bool:
    return _same_number(gold, value) if isinstance(gold, int | float) else _same_text(str(gold), str(value))


def parse_number(value: Any) -> float | None:
    """A number from a number, or from a text like "1,234.50 EUR" or "(32.25)"."""
    if isinstance(value, int | float):
        return float(value)
    text = str(value).strip()
    digits = re.sub(r"[^0-9.\-]", "", text)
    try:
        number = float(digits)
    except ValueError:
        return None
    return -number if text.startswith("(") and text.endswith(")") else number


def parse_date(text: str, formats: Sequence[str] = DATE_FORMATS) -> date | None:
    """A date in one of ``formats``, tried in order."""
    for form in formats:
        try:
            return datetime.strptime(text.strip(), form).date()
        except ValueError:
            continue
    return None


def _same_number(gold: float, value: Any) -> bool:
    number = parse_number(value)
    return number is not None and abs(number - gold) <= max(0.01, abs(gold) * 0.001)


def _same_text(gold: str, value: str) -> bool:
    gold_date, value_date = parse_date(gold), parse_date(value)
    if gold_date and value_date:
        return gold_date == value_date
    left, right = (" ".join(text.split()).casefold() for text in (gold, value))
    return left == right or left.replace(" ", "") == right.replace(" ", "")


# SROIE: totals as decimals, dates day first, company and address on letters and digits.


def same_total(gold: Any, value: Any) -> bool:
    first, second = (re.sub(r"RM|[$,\s]", "", str(text), flags=re.IGNORECASE) for text in (gold, value))
    try:
        return float(first) == float(second)
    except ValueError:
        return False


def same_day_first_date(gold: Any, value: Any) -> bool:
    first, second = (parse_date(str(text), DAY_FIRST_FORMATS) for text in (gold, value))
    return first is not None and first == second


def same_letters_and_digits(gold: Any, value: Any) -> bool:
    return _bare(gold) == _bare(value)


def similar_letters_and_digits(gold: Any, value: Any) -> bool:
    """Edit similarity of at least 0.9, reported beside the exact rate."""
    return fuzz.ratio(_bare(gold), _bare(value)) >= 100 * SIMILAR


def _bare(text: Any) -> str:
    return re.sub(r"[^A-Z0-9]", "", str(text).upper())


# The multi-domain parts.


def same_contract_number(gold: Any, value: Any) -> bool:
    return _bare(gold) == _bare(value)


def same_name(gold: Any, value: Any) -> bool:
    """Token-set ratio of at least 0.9 without case and punctuation."""
    return fuzz.token_set_ratio(_words(gold), _words(value)) >= 100 * SIMILAR


def same_cents(gold: Any, value: Any) -> bool:
    number = parse_number(value)
    return number is not None and abs(number - float(gold)) <= 0.01 + 1e-9


def same_pair(gold: Any, value: Any) -> bool:
    """Upper case, without punctuation."""
    return _words(gold) == _words(value)


def same_fieldbench(gold: Any, value: Any) -> bool:
    """Numbers to the cent, dates normalised, strings without punctuation, objects by all their fields."""
    if isinstance(gold, bool) or isinstance(value, bool):
        return gold is value
    if isinstance(gold, int | float):
        return same_cents(gold, value)
    if isinstance(gold, dict):
        return isinstance(value, dict) and all(
            score(item, value.get(key), same_fieldbench).outcome.right for key, item in gold.items()
        )
    first, second = parse_date(str(gold)), parse_date(str(value))
    return first == second if first and second else _words(gold) == _words(value)


def same_similar(gold: Any, value: Any) -> bool:
    """Numbers as they are; strings at an edit similarity of 0.9, for leaves whose origin compares them by a model."""
    if isinstance(gold, int | float):
        return isinstance(value, int | float) and abs(gold - value) <= max(0.001, abs(gold) * 0.001)
    return fuzz.ratio(_words(gold), _words(value)) >= 100 * SIMILAR


def _words(text: Any) -> str:
    return " ".join(re.sub(r"[^\w\s]|_", " ", str(text)).upper().split())
