from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_retab.extraction.readings import dates, numbers


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,200.00", {1200.0}),
        ("1.200,00", {1200.0}),
        ("1.200", {1.2, 1200.0}),
        ("1,200,300", {1200300.0}),
        ("12,5", {12.5}),
        ("1'234.50", {1234.5}),
        ("RM60.30", {60.3}),
        ("$1,620.00.", {1620.0}),
        ("-150.00", {150.0, -150.0}),
        ("(32.25)", {32.25, -32.25}),
        ("5.59-", {5.59, -5.59}),
        ("7%", {7.0, 0.07}),
        ("none", set()),
        ("", set()),
    ],
)
def test_numbers_in_every_reading(text: str, values: set[float]) -> None:
    assert numbers(text) == values


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("2024-02-03", {date(2024, 2, 3)}),
        ("03/02/2024", {date(2024, 2, 3), date(2024, 3, 2)}),
        ("25.12.18", {date(2018, 12, 25)}),
        ("03 Feb 2024", {date(2024, 2, 3)}),
        ("3rd of", set()),
        ("February 3rd, 2024", {date(2024, 2, 3)}),
        ("15th day of March, 2015", {date(2015, 3, 15)}),
        ("20-JAN-17", {date(2017, 1, 20)}),
        ("3. März 2024", {date(2024, 3, 3)}),
        ("3 de febrero de 2024", {date(2024, 2, 3)}),
        ("31/04/2024", set()),
        ("20240203", {date(2024, 2, 3)}),
        ("99/99/9999", set()),
    ],
)
def test_dates_in_every_reading(text: str, days: set[date]) -> None:
    assert dates(text) >= days
    assert bool(dates(text)) == bool(days)


@given(
    st.dates(date(1971, 1, 1), date(2069, 12, 31)),
    st.sampled_from(["%Y-%m-%d", "%d/%m/%Y", "%m/%d/%y", "%d %b %Y", "%B %d, %Y"]),
)
def test_every_way_of_writing_a_day_is_read(day: date, form: str) -> None:
    assert day in dates(f"Dated {day.strftime(form)} at noon")


@given(st.integers(-(10**9), 10**9), st.sampled_from(["{:,.2f}", "{:.2f}"]))
def test_every_way_of_writing_an_amount_is_read(cents: int, form: str) -> None:
    assert cents / 100 in numbers(form.format(cents / 100))


@given(st.text(max_size=40))
def test_any_text_is_taken(text: str) -> None:
    assert numbers(text) is not None
    assert dates(text) is not None
