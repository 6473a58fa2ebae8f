"""Dates of a document in ISO 8601, written beside them for models that convert badly.

03/02/2024 is a day in February or in March. The caller's words decide, then the document's other dates, then its
country; what stays open is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date

from local_retab.extraction.readings import dates

_NUMERIC = r"\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})"
_NAMED = (
    r"\d{1,2}(?:st|nd|rd|th)?[ -][^\W\d_]{3,9}\.?,?[ -]\d{4}",
    r"[^\W\d_]{3,9}\.? \d{1,2}(?:st|nd|rd|th)?, ?\d{4}",
)
_PRINTED = re.compile(rf"(?<![\w./-])({'|'.join((_NUMERIC, *_NAMED))})(?![\w/-]|\.\d)")
_ISO = re.compile(r"(?<!\d)\d{4}-\d{2}-\d{2}(?!\d)")
_WANTED = re.compile(r"iso[ -]?8601|yyyy-mm-dd|\"format\": \"date", re.IGNORECASE)
_DAY_FIRST = re.compile(r"dd[/.-]mm|day[/ -]*(?:first|/ ?month|month)|european", re.IGNORECASE)
_MONTH_FIRST = re.compile(r"mm[/.-]dd|month[/ -]*(?:first|/ ?day|day)|us format|american", re.IGNORECASE)
_AMERICAN = re.compile(r"\bU\.?S\.?A\b|United States|\b[A-Z]{2},? \d{5}(?:-\d{4})?\b|\$(?!.*[£€])", re.DOTALL)
_NEAR_DAYS = 60
"""Two dates of one document that are no further apart belong together: an invoice and its due date."""


def wants_iso_dates(text: str) -> bool:
    """Whether a schema (as JSON text) asks for dates in ISO 8601."""
    return _WANTED.search(text) is not None


def with_iso_dates(pages: Sequence[str], advice: str) -> list[str]:
    """The pages with `` (= 2024-02-03)`` after each date that is written otherwise.

    ``advice`` is what the caller says to the model, where the order of day and month may be told. Where nothing
    tells, the month comes first in documents from the United States, the day in others.
    """
    everything = "\n".join(pages)
    readings = [dates(text) for text in _PRINTED.findall(everything)]
    certain = [day for days in readings if len(days) == 1 for day in days]
    certain += [day for text in _ISO.findall(everything) for day in dates(text)]
    order = _told(everything, advice)
    usual = "month" if _AMERICAN.search(everything) else "day"

    def note(found: re.Match[str]) -> str:
        text = found[0]
        options = dates(text)
        day = next(iter(options)) if len(options) == 1 else None
        if len(options) > 1:
            day = _ordered(text, order) if order else _nearest(options, certain) or _ordered(text, usual)
        return f"{text} (= {day.isoformat()})" if day else text

    return [_PRINTED.sub(note, page) for page in pages]


def _told(text: str, advice: str) -> str | None:
    """Which comes first in numeric dates, "day" or "month", by the caller's words or by dates with one reading."""
    day, month = _DAY_FIRST.search(advice), _MONTH_FIRST.search(advice)
    if bool(day) != bool(month):
        return "day" if day else "month"
    pairs = [re.split(r"[./-]", found)[:2] for found in re.findall(rf"(?<![\w./-]){_NUMERIC}(?![\w/-]|\.\d)", text)]
    days, months = any(int(first) > 12 for first, _ in pairs), any(int(second) > 12 for _, second in pairs)
    if days != months:
        return "day" if days else "month"
    return None


def _ordered(text: str, order: str) -> date | None:
    """The reading of a numeric date in which the day or the month comes first."""
    parts = re.split(r"[./-]", text)
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        return None
    day, month = (int(part) for part in (parts[:2] if order == "day" else parts[1::-1]))
    return next((option for option in dates(text) if (option.day, option.month) == (day, month)), None)


def _nearest(options: Iterable[date], certain: Sequence[date]) -> date | None:
    """The one reading that lies near a date with one reading."""
    near = [day for day in options if any(abs((day - other).days) <= _NEAR_DAYS for other in certain)]
    return near[0] if len(near) == 1 else None
