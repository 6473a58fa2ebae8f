"""Fitting the likelihood of one answer, and the table that says how far it can be relied on."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from calibrate import MIN_BLOCK, OWN_SHARE, documents, fit, held_out, predicted
from hypothesis import given
from hypothesis import strategies as st
from reliability import Leaf, calibration_error, table

from local_retab.extraction.likelihood import CALIBRATION, interpolated

LEAVES = st.lists(st.builds(Leaf, st.floats(0, 1), st.booleans()), min_size=1, max_size=80)


@given(LEAVES)
def test_the_points_grow_from_end_to_end(found: list[Leaf]) -> None:
    points = fit(found)
    assert (points[0][0], points[-1][0]) == (0.0, 1.0)
    for (x0, y0), (x1, y1) in pairwise(points):
        assert x0 <= x1 + 1e-9
        assert y0 <= y1 + 1e-9
    assert 0 <= points[0][1] <= points[-1][1] <= 1


@given(LEAVES)
def test_what_is_fitted_is_right_on_the_whole(found: list[Leaf]) -> None:
    assert sum(y for _, y in fit(found)[1:-1]) > 0 or not any(leaf.right for leaf in found)


def test_neighbours_are_pooled_until_there_are_enough_and_they_grow() -> None:
    low, high = [Leaf(0.25, False)] * MIN_BLOCK, [Leaf(0.75, True)] * MIN_BLOCK
    shares = [(0.0, 0.0), (0.25, 0.0), (0.75, 1.0), (1.0, 1.0)]
    assert fit([*low, *high]) == [(raw, pytest.approx(share + OWN_SHARE * (raw - share))) for raw, share in shares]
    # Where the likelier ones are wrong, the two are one block.
    worse = [Leaf(0.2, True)] * MIN_BLOCK + [Leaf(0.8, False)] * MIN_BLOCK
    assert [y for _, y in fit(worse)] == pytest.approx([0.49, 0.5, 0.51])


def test_the_table_and_its_error() -> None:
    found = [Leaf(0.95, True)] * 3 + [Leaf(0.95, False)] + [Leaf(0.15, False)] * 4
    assert table(found)[2:] == ["| 0.1 to 0.2 | 4 | 0.15 | 0.00 |", "| 0.9 to 1.0 | 4 | 0.95 | 0.75 |"]
    assert calibration_error(found) == pytest.approx(0.5 * 0.15 + 0.5 * 0.20)
    assert table([Leaf(1.0, True)])[2:] == ["| 0.9 to 1.0 | 1 | 1.00 | 1.00 |"]
    assert calibration_error([Leaf(1.0, True)]) == 0.0


def test_documents_are_read_from_reports(tmp_path: Path) -> None:
    run = {
        "scores": {"a": ["match", 1.0], "b": ["wrong", 0.0], "c": ["correct_absence", 1.0], "d": ["miss", 0.0]},
        "likelihoods": {"a": 0.9, "b": 0.6, "c": 0.7},
    }
    (tmp_path / "report.json").write_text(json.dumps({"runs": [run]}))
    (tmp_path / "other.md").write_text("no report")
    (found,) = documents(tmp_path)
    assert [leaf.right for leaf in found] == [True, False, True]
    assert [interpolated(leaf.likelihood, CALIBRATION) for leaf in found] == pytest.approx([0.9, 0.6, 0.7])


def test_no_value_is_judged_by_points_that_know_its_document() -> None:
    sure, wrong = [Leaf(0.9, True)] * MIN_BLOCK, [Leaf(0.9, False)] * MIN_BLOCK
    found = held_out([sure, wrong, sure, wrong])
    assert [leaf.right for leaf in found] == [True] * 2 * MIN_BLOCK + [False] * 2 * MIN_BLOCK
    assert [leaf.likelihood for leaf in found] == pytest.approx([0.018] * 2 * MIN_BLOCK + [0.998] * 2 * MIN_BLOCK)
    assert calibration_error(found) == pytest.approx(0.99)


@given(LEAVES)
def test_values_keep_their_order(found: list[Leaf]) -> None:
    ordered = sorted(found)
    likelihoods = [leaf.likelihood for leaf in predicted(ordered, fit(found))]
    assert likelihoods == sorted(likelihoods)
