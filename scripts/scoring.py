"""Scoring rules of the evaluation sets, each as its set's README states them."""

from __future__ import annotations

import re
from datetime import date, datetime
from enum import Enum
from typing import Any

DATE_FORMATS = ("%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%B %d, %Y", "%b %d, %Y", "%d %B %Y")


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


def score_retab_field(gold: Any, value: Any) -> Outcome:
    """The rules of the hosted API's cookbook benchmark: absent is null, numbers within max(0.01, 0.1 %), dates as
    dates, other strings without regard to case and blanks."""
    if gold is None:
        return Outcome.CORRECT_ABSENCE if value is None else Outcome.HALLUCINATION
    if value is None:
        return Outcome.MISS
    same = _same_number(gold, value) if isinstance(gold, int | float) else _same_text(str(gold), str(value))
    return Outcome.MATCH if same else Outcome.WRONG


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


def parse_date(text: str) -> date | None:
    """A date in one of the benchmark's formats, tried in its order."""
    for form in DATE_FORMATS:
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
