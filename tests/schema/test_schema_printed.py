"""Strings that are dates by name: what a date looks like in print may be written, and no time of day after it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from local_retab.schema import SchemaPlan, load_schema, plan_schema
from local_retab.schema.printed import is_date
from local_retab.schema.style import SEPARATORS
from local_retab.settings import Settings

BYTES = LLTokenizer("byte")
SETTINGS = Settings()


def plan(name: str = "date", **node: Any) -> SchemaPlan:
    schema = {"properties": {name: {"type": "string", **node}}, "required": [name]}
    return plan_schema(load_schema(schema, settings=SETTINGS), settings=SETTINGS)


def writes(made: SchemaPlan, value: Any, name: str = "date") -> bool:
    matcher = LLMatcher(BYTES, made.grammar, log_level=0)
    data = list(json.dumps({name: value}, ensure_ascii=False, separators=SEPARATORS).encode())
    return bool(matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting())


HELD = plan()
PRINTED = [
    "14 Mar 2018", "14MAR18", "18/03/2018", "2018-03-14", "14.03.18", "04 – 03 – 2018", "20180314", "03/2018", "2018",
    "Wednesday, March 14th, 2018", "12th day of July, 2019", "14. März 2018", "14 de marzo de 2018", "le 14 mars 2018",
    "2018年3月14日", "2018. 3. 14.", "14 มีนาคม 2561", "Wed 14/03/2018", "Wed, 14/03/2018",
    "Berlin, 14.03.2018", "Q1 2018", "Mar 14 '18", "Net 30 days", "within 14 days of invoice date", "N/A", "",
]  # fmt: skip
LONGER = [
    "14 Mar 2018 18:40", "14 Mar 2018 18", "09/01/2019 8:01:11 PM", "09/01/2019 8", "30/03/2018 # 8:13 PM",
    "March 14, 2018 18", "2018-03-14T10:00:00", "14MAR18 1840", "14/03/2018 PM",
    "14 Mar 2018 ١٨:٤٠", "09/01/2019   晚上   一点", "x" * 700,
]  # fmt: skip


@pytest.mark.parametrize("text", PRINTED)
def test_dates_as_they_are_printed(text: str) -> None:
    assert writes(HELD, text)


@pytest.mark.parametrize("text", LONGER)
def test_nothing_comes_behind_them(text: str) -> None:
    assert not writes(HELD, text)
    assert writes(HELD.widened(settings=SETTINGS), text)
    HELD.validate({"date": text})


@given(st.dates(), st.sampled_from(["%d/%m/%Y", "%Y-%m-%d", "%d %b %Y", "%B %d, %Y", "%A, %d. %B %Y", "%d-%b-%y"]))
def test_every_day_in_usual_forms(day: Any, form: str) -> None:
    assert writes(HELD, day.strftime(form))


def test_null_stays_and_lengths_are_kept() -> None:
    held = plan(type=["string", "null"], maxLength=10)
    assert writes(held, None)
    assert writes(held, "14/03/2018")
    assert not writes(held, "14/03/2018 Wed")
    assert not writes(held, "14 Mar 18:40")


@pytest.mark.parametrize(
    "name", ["date", "Date", "invoice_date", "dueDate", "InvoiceDate", "date_of_birth", "Belegdatum"]
)
def test_names_of_dates(name: str) -> None:
    assert is_date(name, {"type": "string", "maxLength": 2000})
    assert not writes(plan(name), "14 Mar 2018 18:40", name)


@pytest.mark.parametrize(
    "name", ["update", "candidate", "dates", "date_notes", "datetime", "date_time", "data", "dated"]
)
def test_names_of_other_things(name: str) -> None:
    assert not is_date(name, {"type": "string"})
    assert writes(plan(name), "14 Mar 2018 18:40", name)


@pytest.mark.parametrize(
    "node",
    [
        {"description": "Date and time of the visit"},
        {"description": "The date range that is billed"},
        {"pattern": "^[^x]*$"},
        {"minLength": 3},
        {"enum": ["14 Mar 2018 18:40"]},
    ],
)
def test_what_the_caller_says_otherwise(node: dict[str, Any]) -> None:
    assert writes(plan(**node), "14 Mar 2018 18:40")


def test_the_model_is_not_shown_the_pattern() -> None:
    assert HELD.template == '{\n  "date": string\n}'
