"""Dates and times of filters, as texts."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from local_retab.errors import MalformedQueryError


def moment_of(name: str, text: str | None, *, end: bool) -> int | None:
    """Microseconds since the epoch of a date or RFC 3339 time; the ``end`` of a period is exclusive.

    A date stands for its whole day. Raises MalformedQueryError.
    """
    if not text:
        return None
    # An unescaped plus sign of a time zone arrives as a blank.
    text = text.strip().replace(" ", "+") if "T" in text else text.strip()
    whole_day = re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) is not None
    try:
        moment = datetime.fromisoformat(text)
        if not whole_day and "T" not in text.upper():
            raise ValueError("neither a date nor a date and time")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        if end:
            moment += timedelta(days=1) if whole_day else timedelta(microseconds=1)
        return int(moment.timestamp() * 1e6)
    except (ValueError, OverflowError) as error:
        raise MalformedQueryError(
            f"{name}: {text[:80]!r} is not a date such as 2024-03-15 or a time such as 2024-03-15T10:30:00Z.",
            details={"field": name},
        ) from error
