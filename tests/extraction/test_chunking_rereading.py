"""Rows of which one value is not what their line says."""

from __future__ import annotations

from typing import Any

import pytest
from chunking_pages import lines_of

from local_retab.errors import OutputValidationError
from local_retab.extraction.chunking.rereading import Rereading

LINES = lines_of(
    "\n".join(
        (
            "Date          No     What                  Amount     Balance",
            "2026-02-19    T1     Rent of room 12        -504.56    12,495.44",
            "20 Feb 2026   T2     Card payment           504.78    13,000.22",
            "2026-02-21    T3     Paper, 3 reams         430.21    13,430.43",
            "2026-02-22    T4     Ink                    -30.43    13,400.00",
            "2026-02-23    T5     Rail                      7      13,407.00",
        )
    )
)
WINDOW = range(6)


def reread(value: Any, lines: Any, window: Any, validate: Any) -> Any:
    return Rereading(lines).reread(value, window, validate)


def rows() -> list[dict[str, Any]]:
    return [
        {"date": "2026-02-19", "no": "T1", "what": "Rent of room 12", "sums": {"amount": -504.56, "balance": 12495.44}},
        {"date": "2026-02-20", "no": "T2", "what": "Card payment", "sums": {"amount": 504.78, "balance": 13000.22}},
        {"date": "2026-02-21", "no": "T3", "what": "Paper, 3 reams", "sums": {"amount": 430.21, "balance": 13430.43}},
        {"date": "2026-02-22", "no": "T4", "what": "Ink", "sums": {"amount": -30.43, "balance": 13400.0}},
        {"date": "2026-02-23", "no": "T5", "what": "Rail", "sums": {"amount": 7.0, "balance": 13407.0}},
    ]


def any_value(_: Any) -> None:
    return


def changed(number: int, key: str, value: Any) -> list[dict[str, Any]]:
    made = rows()
    (made[number]["sums"] if key in ("amount", "balance") else made[number])[key] = value
    return made


@pytest.mark.parametrize(
    ("number", "key", "value"),
    [
        (1, "date", "2026-02-21"),  # printed in another form
        (4, "date", "2026-02-24"),
        (0, "amount", -504.65),  # the 12 of the text before it is no amount
        (2, "amount", 431.21),
        (3, "balance", 13.4000),
        (4, "amount", 13407.07),
        (0, "amount", 504.56),  # the minus is printed
        (1, "amount", -504.78),
        (3, "what", "Rail to town"),  # what the others leave of the line
        (4, "what", "Ink"),  # of the row above
    ],
)
def test_a_value_that_is_not_on_its_line_is_read_from_it(number: int, key: str, value: Any) -> None:
    told = {"rows": changed(number, key, value), "title": "x"}
    assert reread(told, LINES, WINDOW, any_value) == {"rows": rows(), "title": "x"}


def test_what_is_on_the_lines_stays_as_it_is() -> None:
    value = {"rows": rows()}
    assert reread(value, LINES, WINDOW, any_value) is value
    assert reread([], LINES, WINDOW, any_value) == []
    assert reread({"rows": ["a", 1]}, LINES, WINDOW, any_value) == {"rows": ["a", 1]}


def test_what_most_rows_do_not_have_on_their_lines_is_no_column() -> None:
    value = [{**row, "total": 1000.5 + number} for number, row in enumerate(rows())]
    assert reread(value, LINES, WINDOW, any_value) == value
    few = changed(1, "amount", 1.0)[:3]
    assert reread(few, LINES, WINDOW, any_value) == few


def test_two_numbers_that_are_left_say_nothing() -> None:
    value = changed(2, "amount", 1.5)
    value[2]["what"] = "Stationery"  # so that "3" is left as well
    assert reread(value, LINES, WINDOW, any_value) == value


def test_a_row_on_no_line_is_left_alone() -> None:
    extra = {"date": "2030-01-01", "no": "Z9", "what": "Nothing", "sums": {"amount": 1.5, "balance": 2.5}}
    assert reread([*rows(), extra], LINES, WINDOW, any_value) == [*rows(), extra]


def test_a_value_that_the_schema_refuses_is_not_taken() -> None:
    def refuse(_: Any) -> None:
        raise OutputValidationError("too large")

    value = changed(2, "amount", 1.5)
    assert reread(value, LINES, WINDOW, refuse) is value


def test_signs_that_are_not_printed_say_nothing() -> None:
    lines = lines_of("\n".join(f"T{n}   Fee of the month   {n * 11}.50" for n in range(1, 7)))
    charges = [{"no": f"T{n}", "sum": n * 11.5 if n == 2 else -(n * 11 + 0.5)} for n in range(1, 7)]
    charges[1]["sum"] = 22.5
    assert reread(charges, lines, range(6), any_value) == charges


def test_a_text_beside_its_line_stays() -> None:
    lines = lines_of("\n".join(f"T{n}   Fee number {n}   {n}.5\n      for May" for n in range(1, 7)))
    told = [{"no": f"T{n}", "what": f"Fee number {n}", "sum": n + 0.5} for n in range(1, 7)]
    told[3]["what"] = "for May"
    assert reread(told, lines, range(12), any_value) == told
    right = [*told[:3], {**told[3], "what": "Fee number 4"}, *told[4:]]
    told[3]["what"] = "for June"
    assert reread(told, lines, range(12), any_value) == right


def test_texts_in_other_words_stay() -> None:
    told = [{**row, "what": f"{row['what']} etc."} for row in rows()]
    assert reread(told, LINES, WINDOW, any_value) == told


def test_a_row_alone_is_told_by_the_rows_before_it() -> None:
    wrong = {"rows": changed(4, "what", "Ink")[4:]}
    assert reread(wrong, LINES, (0, 5), any_value) == wrong
    known = Rereading(LINES)
    known.reread({"rows": rows()[:4]}, range(5), any_value)
    assert known.reread({"others": wrong["rows"]}, (0, 5), any_value) == {"others": wrong["rows"]}
    assert known.reread(wrong, (0, 5), any_value) == {"rows": rows()[4:]}


def test_a_part_that_is_wrong_throughout_is_told_by_the_parts_before_it() -> None:
    lines = lines_of("\n".join(f"2026-03-{n:02d}   T{n}   Fee   {(-1) ** n * n * 1.5}" for n in range(1, 31)))
    right = [{"day": f"2026-03-{n:02d}", "no": f"T{n}", "sum": (-1) ** n * n * 1.5} for n in range(1, 31)]
    wrong = [{**row, "day": f"2026-04-{n:02d}", "sum": abs(row["sum"])} for n, row in enumerate(right, 1)]  # type: ignore[arg-type]
    known = Rereading(lines)
    assert known.reread(wrong[:8], range(8), any_value) == wrong[:8]
    known = Rereading(lines)
    assert known.reread(right[:22], range(22), any_value) == right[:22]
    assert known.reread(wrong[22:], range(22, 30), any_value) == right[22:]


def test_items_whose_lines_are_known() -> None:
    items = changed(2, "balance", 13.430)
    known = Rereading(LINES)
    assert known.reread_items(items, range(1, 6), any_value) == rows()
    assert known.reread_items(items[2:3], [3], any_value) == rows()[2:3]
    assert Rereading(LINES).reread_items(items[2:3], [3], any_value) == items[2:3]

    def refuse(_: Any) -> None:
        raise OutputValidationError("too large")

    assert Rereading(LINES).reread_items(items, range(1, 6), refuse) == items


def test_whole_numbers_stay_whole() -> None:
    lines = lines_of("\n".join(f"T{n}   item   {n * 11}" for n in range(1, 6)))
    told = [{"no": f"T{n}", "what": "item", "count": n * 11} for n in range(1, 6)]
    wrong = [*told[:4], {**told[4], "count": 56}]
    assert reread(wrong, lines, range(5), any_value) == told
    assert all(isinstance(item["count"], int) for item in reread(wrong, lines, range(5), any_value))  # type: ignore[union-attr,index,call-overload]
