"""What the evaluation counts: leaves, and whether the words in a box state a value."""

from __future__ import annotations

from typing import Any

import pytest
from evaluation_run import _leaves, holds


@pytest.mark.parametrize(
    ("value", "content", "expected"),
    [
        (1200.0, "1,200.00", True),
        (-150, "(150.00)", True),
        (1200.0, "1,300.00", False),
        (12, "12 pcs", True),
        ("INV-1001", "INV-1001", True),
        ("inv 1001", "INV-1001", True),
        ("INV-1001", "INV-1002 to be paid", False),
        ("2024-02-03", "03 Feb 2024", True),
        ("2024-02-03", "04 Feb 2024", False),
        ("Ada Lovelace", "Ms. Ada Lovelace, London", True),
    ],
)
def test_a_box_holds_a_value_in_any_spelling(value: Any, content: str, expected: bool) -> None:
    assert holds(value, content) is expected


def test_leaves_of_a_tree_of_likelihoods() -> None:
    tree = {"a": 0.5, "rows": [{"b": 1}, {"b": 0.25}], "none": None}
    assert dict(_leaves(tree, "")) == {"a": 0.5, "rows/0/b": 1.0, "rows/1/b": 0.25}
