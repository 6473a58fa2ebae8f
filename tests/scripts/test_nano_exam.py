from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nano.exam import ExamPage, Marks, mark

GOLD = {"name": "Ann", "due": None, "total": 12.0, "items": [{"item": "Tea", "qty": 2}, {"item": "Pen", "qty": 1}]}


def right(**changes: Any) -> list[bool]:
    return [right for _, right in mark(GOLD, {**GOLD, **changes})]


def test_each_field_and_each_cell_counts_once() -> None:
    assert [kind for kind, _ in mark(GOLD, GOLD)] == ["text", "absent", "number", *["item cell"] * 4]
    assert all(right())


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"name": "ann"}, 1),
        ({"name": None}, 1),
        ({"due": "2026-01-01"}, 1),
        ({"total": 12}, 0),
        ({"total": "12.0"}, 1),
        ({"items": []}, 4),
        ({"items": None}, 4),
        ({"items": [{"item": "Tea", "qty": 2}]}, 2),
        ({"items": [*GOLD["items"], {"item": "Cup", "qty": 1}]}, 2),
        ({"items": [{"item": "Tea", "qty": 3}, {"item": "Pen", "qty": 1}]}, 1),
    ],
)
def test_wrong_fields_are_counted(changes: dict[str, Any], wrong: int) -> None:
    assert right(**changes).count(False) == wrong


def test_no_items_where_there_are_none_is_right() -> None:
    assert list(mark({"items": []}, {"items": []})) == [("item cell", True)]
    assert list(mark({"items": []}, {"items": [{"item": "Tea"}]})) == [("item cell", False)]


def test_marks_are_shares_by_group_and_kind() -> None:
    marks = Marks.none()
    page = ExamPage("seen_fonts", "proportional", "receipt", Path("page.png"), {}, {"name": "Ann", "total": 1.0})
    marks.add(page, {"name": "Ann", "total": 2.0})
    assert marks.share("seen_fonts") == marks.share("seen_fonts_proportional") == marks.share("receipts") == 0.5
    assert (marks.share("text"), marks.share("number"), marks.share("unseen_fonts")) == (1.0, 0.0, 0.0)


def test_an_answer_that_was_refused_is_wrong_in_every_field() -> None:
    assert not any(right for _, right in mark(GOLD, {}))
