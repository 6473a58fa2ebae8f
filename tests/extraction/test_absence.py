from __future__ import annotations

import json
from typing import Any

import pytest
from PIL import Image

from local_retab.documents import Page
from local_retab.extraction.absence import Absence
from local_retab.extraction.partial import MISSING, PartialJson, extends
from local_retab.schema import plan_schema
from local_retab.settings import Settings

SCHEMA = {
    "type": "object",
    "properties": {
        "code": {"type": ["string", "null"]},
        "name": {"type": "string"},
        "tax": {"type": ["number", "null"]},
        "count": {"type": ["integer", "null"]},
        "total": {"type": "number"},
        "note": {"type": "string"},
    },
    "required": ["code", "name", "tax", "count", "total"],
    "additionalProperties": False,
}


def page(text: str) -> Page:
    return Page(1, 0, 0, (), text, lambda: Image.new("RGB", (1, 1)))


ABSENCE = Absence([page("Total 420.00 of 1 234,50\nVAT 20 % or (5.00)")])


DATED = Absence(
    [
        page(
            "Issued 03/02/2024, paid 4 März 2024\nagreed on this twenty-first day\nof May, 2019 between\n"
            "Graduated June 2016\nno. 150318 and 20171231\nDay Month Year\n07 11 20\nno. 9999"
        )
    ]
)


@pytest.mark.parametrize(
    ("value", "absent"),
    [
        ("2024-02-03", False),
        ("2024-03-02", False),
        ("2024-03-04", False),
        ("2019-05-21", False),
        ("2016-06-01", False),
        ("2016-06-30", False),
        ("2018-03-15", False),
        ("2017-12-31", False),
        ("2020-11-07", False),
        ("2016-06-09", True),
        ("2023-04-15", True),
        ("2024-07-03", True),
        ("9999-99-99", False),
        ("9999-12-31", True),
        ("2023-04-15T10:00:00", False),
        ("Unknown", True),
    ],
)
def test_dates_that_are_not_printed_stand_for_null(value: str, absent: bool) -> None:
    assert DATED.is_meant(value) is absent
    assert Absence(None).is_meant(value) is (value == "Unknown")


@pytest.mark.parametrize("value", ["unknown", "2021-07-09", 400])
@pytest.mark.parametrize("form", ["null listed", "null beside", "optional"])
def test_what_the_schema_lists_is_believed(value: Any, form: str) -> None:
    """It says so itself, and what is listed need not be printed."""
    listed: dict[str, Any] = {"enum": [value, "other", *([None] if form == "null listed" else [])]}
    field = {"anyOf": [listed, {"type": "null"}]} if form == "null beside" else listed
    schema = {"type": "object", "properties": {"a": field}, "required": [] if form == "optional" else ["a"]}
    machine = PartialJson(plan_schema(schema, settings=Settings()).shape, ABSENCE)
    machine.feed(json.dumps({"a": value}).encode())
    assert machine.flush() == {"a": value}
    assert machine.absent == []


@pytest.mark.parametrize(
    ("value", "absent"),
    [
        ("null", True),
        ("Null ", True),
        ("", True),
        ("N/A", True),
        ("nullable", False),
        ("Nancy", False),
        (420, False),
        (420.0, False),
        (-420.0, False),
        (1234.5, False),
        (5.0, False),
        (84.0, True),
        (84, False),
        (1084, True),
        (0.2, False),
        (True, False),
        (None, False),
    ],
)
def test_what_stands_for_null(value: Any, absent: bool) -> None:
    assert ABSENCE.is_meant(value) is absent


STATEMENT = Absence([page("TX1 12,345.67 245,916.00 1,200\nTX2 1'234'567.8 1.234,56 (9,999.50)")])


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("12.34567", 12345.67),
        ("-12.34567", -12345.67),
        ("245.91600", 245916.0),
        ("1.2345678", 1234567.8),
        ("1.23456", 1234.56),
        ("9.99950", 9999.5),
        ("12345.67", 12345.67),
        ("1.200", 1.2),  # can be read so
        ("245.916", 245.916),  # other digits
        ("12.34568", 12.34568),
        ("12", 12),
    ],
)
def test_a_point_that_slipped_to_the_thousands_is_put_back(written: str, meant: float) -> None:
    assert STATEMENT.read(written, float(written)) == meant
    schema = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}
    plan = plan_schema(schema, settings=Settings())
    machine = PartialJson(plan.shape, STATEMENT)
    machine.feed(f'{{"total":{written}'.encode())
    assert machine.snapshot() == {}  # a number is shown when it is complete
    machine.feed(b"}")
    assert machine.flush() == {"total": meant}


def test_numbers_are_believed_where_the_text_is_not_known() -> None:
    assert not Absence(None).is_meant(84.5)
    assert Absence(None).read("12.34567", 12.34567) == 12.34567


def read(text: str, absence: Absence | None = ABSENCE) -> tuple[list[Any], Any, list[str]]:
    machine = PartialJson(plan_schema(SCHEMA, settings=Settings()).shape, absence)
    shown = [machine.snapshot() for char in text if machine.feed(char.encode())]
    return shown, machine.flush(), machine.absent


ANSWER = '{"code": "null", "name": "null", "tax": 84.5, "count": 7, "total": 504.5, "note": "n/a"}'


def test_only_places_that_may_be_null_become_null() -> None:
    _, value, absent = read(ANSWER)
    # A note may be left out, which its null means.
    assert value == {"code": None, "name": "null", "tax": None, "count": 7, "total": 504.5}
    assert absent == ["/code", "/tax", "/note"]
    assert read(ANSWER, None)[1]["tax"] == 84.5


@pytest.mark.parametrize("code", ["null", "nullable", "n", "N/A", "no", "", "NOT STATED anywhere"])
def test_nothing_that_was_shown_is_taken_back(code: str) -> None:
    shown, value, _ = read(ANSWER.replace('"null"', f'"{code}"', 1))
    before: Any = MISSING
    for snapshot in [*shown, value]:
        assert extends(snapshot, before)
        before = snapshot


def test_a_string_that_cannot_be_a_word_for_null_grows_as_others_do() -> None:
    shown, _, _ = read(ANSWER.replace('"null"', '"Nuremberg"', 1))
    assert {"code": "Nur"} in shown
    assert {"code": "Nu"} not in shown
