from __future__ import annotations

import pytest

from local_retab.extraction.dating import wants_iso_dates, with_iso_dates


def noted(text: str, advice: str = "") -> str:
    return with_iso_dates([text], advice)[0]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("Paid 25/12/2018", "2018-12-25"),
        ("Paid 12/25/18", "2018-12-25"),
        ("Paid 3 Feb 2024", "2024-02-03"),
        ("Paid February 3, 2024", "2024-02-03"),
        ("Paid 3rd March 2015", "2015-03-03"),
        ("Paid 03.02.2024 in Bonn", "2024-02-03"),
        ("Paid 03/02/2024, Troy, NY 12180", "2024-03-02"),
        ("Paid $5 on 03/02/2024", "2024-03-02"),
        ("Paid 03/02/2024 and 03/25/2024", "2024-03-02"),
        ("Paid 03/02/2024 and 25/02/2024, Troy, NY 12180", "2024-02-03"),
        ("Invoice 07/02/2024, due 2024-02-21, USA", "2024-02-07"),
    ],
)
def test_a_date_is_followed_by_its_day(text: str, day: str) -> None:
    assert f"(= {day})" in noted(text)


def test_the_callers_words_decide_first() -> None:
    assert "(= 2024-02-03)" in noted("Paid $5 on 03/02/2024", "Dates are European day/month/year.")
    assert "(= 2024-03-02)" in noted("Bezahlt am 03/02/2024", "Dates are MM/DD/YYYY.")


@pytest.mark.parametrize(
    "text", ["2024-02-03", "v1.2.2024", "10.10.10.10", "99/99/2024", "1/2/3", "a3/4/2024b", "no date"]
)
def test_what_is_not_a_date_in_another_form_is_left(text: str) -> None:
    assert noted(text) == text


def test_schemas_ask_for_iso_dates_by_format_or_in_words() -> None:
    assert wants_iso_dates('{"type": "string", "format": "date"}')
    assert wants_iso_dates('{"description": "Due date, ISO 8601"}')
    assert wants_iso_dates('{"description": "YYYY-MM-DD"}')
    assert not wants_iso_dates('{"description": "Date exactly as printed"}')
