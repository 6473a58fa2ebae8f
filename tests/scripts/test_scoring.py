"""The scoring rules of the hosted API's cookbook benchmark, as the evaluation set's README states them."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from scoring import Outcome, parse_date, parse_number, score_retab_field


@pytest.mark.parametrize(
    ("gold", "value", "outcome"),
    [
        (None, None, Outcome.CORRECT_ABSENCE),
        (None, "", Outcome.HALLUCINATION),
        (None, 0, Outcome.HALLUCINATION),
        ("x", None, Outcome.MISS),
        (0, None, Outcome.MISS),
        # Numbers: within 0.01, or a thousandth of the gold value where that is more.
        (100.0, 100.0, Outcome.MATCH),
        (100.0, 100.1, Outcome.MATCH),
        (100.0, 100.11, Outcome.WRONG),
        (1.0, 1.009, Outcome.MATCH),
        (1.0, 1.02, Outcome.WRONG),
        (0, 0.01, Outcome.MATCH),
        (0, 0.02, Outcome.WRONG),
        (1_000_000, 1_001_000, Outcome.MATCH),
        (1_000_000, 1_001_001, Outcome.WRONG),
        (-5.0, 5.0, Outcome.WRONG),
        (1234.5, "1,234.50 EUR", Outcome.MATCH),
        (-32.25, "(32.25)", Outcome.MATCH),
        (32.25, "(32.25)", Outcome.WRONG),
        (5, "none", Outcome.WRONG),
        (5, "", Outcome.WRONG),
        # Dates: the same day, in any of the formats.
        ("2025-05-12", "2025-05-12", Outcome.MATCH),
        ("2025-05-12", "12 May 2025", Outcome.MATCH),
        ("2025-05-12", "May 12, 2025", Outcome.MATCH),
        ("2025-03-04", "03/04/2025", Outcome.MATCH),  # the month comes first where both can be
        ("2025-04-03", "03/04/2025", Outcome.WRONG),
        ("2025-05-12", "2025-05-13", Outcome.WRONG),
        ("2025-05-12", "2025-05-12T00:00:00", Outcome.WRONG),
        # Other strings: without regard to case and blanks.
        ("Halden & Brook", " halden  &\nBROOK ", Outcome.MATCH),
        ("GB 392 7714 06", "GB392771406", Outcome.MATCH),
        ("STRASSE", "straße", Outcome.MATCH),
        ("a-b", "a b", Outcome.WRONG),
        ("5", 5, Outcome.MATCH),
        ("", "", Outcome.MATCH),
    ],
)
def test_a_field(gold: Any, value: Any, outcome: Outcome) -> None:
    assert score_retab_field(gold, value) is outcome


def test_only_matches_and_right_absences_are_right() -> None:
    assert {outcome for outcome in Outcome if outcome.right} == {Outcome.MATCH, Outcome.CORRECT_ABSENCE}


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5.0),
        (-1.5, -1.5),
        (" 1,234.50 ", 1234.5),
        ("EUR 12", 12.0),
        ("-3 %", -3.0),
        ("(1,000)", -1000.0),
        ("", None),
        ("free", None),
        ("1.2.3", None),
        ("1-2", None),
        (None, None),
    ],
)
def test_numbers(value: Any, number: float | None) -> None:
    assert parse_number(value) == number


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2025-12-31", date(2025, 12, 31)),
        ("12/31/2025", date(2025, 12, 31)),
        ("31/12/2025", date(2025, 12, 31)),
        ("December 31, 2025", date(2025, 12, 31)),
        ("Dec 31, 2025", date(2025, 12, 31)),
        (" 31 December 2025 ", date(2025, 12, 31)),
        ("31.12.2025", None),
        ("2025-02-30", None),
        ("", None),
    ],
)
def test_dates(text: str, day: date | None) -> None:
    assert parse_date(text) == day
