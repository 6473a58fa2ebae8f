"""Guesses at how an answer goes on, from a document and from the evidence before a value."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_retab.extraction.copying import Copies

PAGE = """INVOICE

Northwind Trading Co.
12 Harbour Road, Bristol

Invoice number    INV-1001
Due date: 10/02/2024 (= 2024-02-10)

Design consulting (hrs)    10    120.00    1,200.00
"""


def guess(output: str, page: str = PAGE) -> tuple[str, list[str]] | None:
    found = Copies([page], "_").guess(output.encode())
    return found and (found.kind, [text.decode() for text in found.texts])


def first(output: str, page: str = PAGE) -> str | None:
    found = guess(output, page)
    return found and found[1][0]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ('{"seller":"North', 'wind Trading Co.","'),
        ('{"address":"12', ' Harbour Road, Bristol","'),
        ('{"address":"12 Harbour', ' Road, Bristol","'),
        ('{"items":[{"text":"Design', ' consulting (hrs)","'),
        ('{"tags":["North', 'wind Trading Co.","'),
    ],
)
def test_a_string_goes_on_as_the_cell_that_it_begins_as(output: str, expected: str) -> None:
    assert first(output) == expected


@pytest.mark.parametrize("output", ['{"seller":"N', '{"seller":"Unknown', '{"sel', '{"seller":"No\\"', "{", ""])
def test_nothing_is_guessed_without_a_place(output: str) -> None:
    assert guess(output) is None


def test_a_value_is_guessed_as_its_evidence() -> None:
    assert guess('{"_total":"1620.00","total":') == ("evidence", ['"1620.00","', '1620.00,"'])


def test_a_date_is_guessed_as_it_was_put_in_iso() -> None:
    assert first('{"_due":"10/02/2024 (= 2024-02-10)","due":') == '"2024-02-10","'


def test_without_evidence_null_is_guessed() -> None:
    assert guess('{"_po":"not stated","po":') == ("no evidence", ['null,"', "null}"])


def test_a_string_that_has_just_begun_is_guessed_as_a_whole() -> None:
    assert guess('{"_total":"1620.00","total":"') == ("evidence", ['1620.00","', '1620.00"}'])
    assert first('{"invoice_number":"') == 'INV-1001","'


def test_a_begun_value_goes_on_as_its_evidence() -> None:
    assert first('{"_name":"Ada Lovelace","name":"Ada') == ' Lovelace","'


def test_evidence_is_that_of_the_row() -> None:
    rows = '{"rows":[{"_n":"one","n":"one"},{"_n":"two","n":'
    assert first(rows) == '"two","'


def test_a_value_is_guessed_by_the_label_that_its_key_names() -> None:
    assert guess('{"invoice_number":') == ("labelled", ['"INV-1001","'])
    assert first('{"date_due":') == '"10/02/2024 (= 2024-02-10)","'
    assert first('{"a":1, "_invoice_number":') == '"INV-1001","'


def test_the_next_cell_follows_the_one_that_was_copied() -> None:
    begun = '{"lines":[{"text":"Design consulting (hrs)","quantity":'
    assert guess(begun) == ("row", ['"10","', '10,"'])
    assert guess('{"text":"Design consulting (hrs)","quantity":') == ("next", ['"10","', '10,"'])


def test_thousands_are_written_plainly_as_a_number() -> None:
    assert guess('{"a":"120.00","amount":') == ("next", ['"1,200.00","', '1200.00,"'])


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ('{"rows":[{"text":"Design consulting (hrs)","quantity":10,"price":', '120.00,"'),
        ('{"rows":[{"text":"Design consulting (hrs)","quantity":10,"price":120.00,"amount":', '1200.00,"'),
        ('{"a":"Design","amount":1', '0,"'),
        ('{"a":"Design","amount":12', '0.00,"'),
        ('{"a":"Design","amount":120', '.00,"'),
        ('{"a":"Design","amount":1200.', '00,"'),
        ('{"_amount":"sum 17.25 EUR","amount":1', '7.25,"'),
        ('{"tags":["Northwind Trading Co.","12', ' Harbour Road, Bristol","'),
    ],
)
def test_numbers_and_rows_go_on(output: str, expected: str) -> None:
    assert expected in (guess(output) or ("", []))[1]


def test_a_row_goes_on_where_it_was_after_a_number_that_is_not_near() -> None:
    assert guess('{"rows":[{"text":"INVOICE","n":10,"x":') == guess('{"rows":[{"text":"INVOICE","x":')
    assert first('{"rows":[{"text":"INVOICE","n":12,"x":') == '"Harbour Road, Bristol","'


def test_a_number_that_stands_nowhere_has_no_guess() -> None:
    assert guess('{"amount":77') is None
    assert guess('{"amount":-') is None
    assert guess('{"amount":true') is None


def test_keys_are_no_strings_to_go_on_with() -> None:
    assert guess('{"Northwind":1, "North') is None


@settings(max_examples=200, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=6),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=8,
    ),
    page=st.text(max_size=40),
    cuts=st.lists(st.integers(0, 200), max_size=6),
)
def test_it_is_the_same_however_the_answer_comes(value: object, page: str, cuts: list[int]) -> None:
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    steps = Copies([page], "_")
    for cut in sorted(min(cut, len(text)) for cut in cuts):
        assert steps.guess(text[:cut]) == Copies([page], "_").guess(text[:cut])
