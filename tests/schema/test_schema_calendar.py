"""Dates that the grammar holds to the calendar, so that an extraction with dates is shown while it is written."""

import calendar
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from local_retab.schema import SchemaPlan, load_schema, plan_schema
from local_retab.schema.formats import exact_pattern
from local_retab.schema.style import SEPARATORS
from local_retab.settings import Settings

BYTES = LLTokenizer("byte")


def plan(node: dict[str, Any], *, wide: bool = False) -> SchemaPlan:
    settings = Settings()
    made = plan_schema(
        load_schema({"properties": {"at": node}, "required": ["at"]}, settings=settings), settings=settings
    )
    return made.widened(settings=settings) if wide else made


def writes(made: SchemaPlan, text: str) -> bool:
    matcher = LLMatcher(BYTES, made.grammar, log_level=0)
    data = list(json.dumps({"at": text}, separators=SEPARATORS).encode())
    return bool(matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting())


DATES = plan({"type": "string", "format": "date"})
TIMES = plan({"type": "string", "format": "date-time"})


@pytest.mark.parametrize("made", [DATES, TIMES, plan({"type": ["string", "null"], "format": "date"})])
def test_nothing_is_left_to_validation(made: SchemaPlan) -> None:
    assert made.deferred == ()


def test_beside_other_limits_and_in_a_wide_plan_validation_holds_the_calendar() -> None:
    assert plan({"type": "string", "format": "date", "pattern": "^2"}).deferred
    assert plan({"type": "string", "format": "date-time"}, wide=True).deferred
    assert not plan({"type": "string", "format": "date"}, wide=True).deferred


@given(year=st.integers(0, 9999), month=st.integers(0, 13), day=st.integers(0, 32))
def test_a_date_can_be_written_exactly_if_there_is_such_a_day(year: int, month: int, day: int) -> None:
    exists = year > 0 and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]
    assert writes(DATES, f"{year:04}-{month:02}-{day:02}") is exists
    assert writes(TIMES, f"{year:04}-{month:02}-{day:02}T23:59:60Z") is exists


@pytest.mark.parametrize("year", [4, 1900, 2000, 2023, 2024, 2100, 2400])
def test_leap_days(year: int) -> None:
    assert writes(DATES, f"{year:04}-02-29") is calendar.isleap(year)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("2024-01-01T00:00:00Z", True),
        ("2024-01-01t23:59:59.123+13:45", True),
        ("2024-01-01T24:00:00Z", False),
        ("2024-01-01T12:00:60Z", False),
        ("2024-01-01T12:00:00", False),
        ("2024-01-01 12:00:00Z", False),
    ],
)
def test_times_of_day(text: str, valid: bool) -> None:
    assert writes(TIMES, text) is valid


def test_a_property_called_format_is_no_format() -> None:
    made = plan({"type": "object", "properties": {"format": {"const": "date"}}, "required": ["format"]})
    assert made.deferred == ()
    matcher = LLMatcher(BYTES, made.grammar, log_level=0)
    data = list(b'{"at":{"format":"date"}}')
    assert matcher.try_consume_tokens(data) == len(data)


def test_other_formats_have_no_pattern() -> None:
    assert exact_pattern({"format": "email"}, wide=False) is None
