from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_retab.extraction.alignment import align, similarity
from local_retab.extraction.consensus import reconcile

NUMBER = {"type": "object", "properties": {"x": {"type": "number"}}}
INTEGER = {"type": "object", "properties": {"x": {"type": "integer"}}}

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text("ab c", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


def fields(votes: list[Any], schema: dict[str, Any] | None = None) -> dict[str, tuple[Any, float, int, int]]:
    found = reconcile(votes, schema).fields
    return {field.path: (field.value, round(field.likelihood, 3), field.supporting, field.total) for field in found}


def test_scalars_go_by_majority_and_say_how_far_they_agree() -> None:
    votes = [{"a": "x", "b": 1}, {"a": "y", "b": 1}, {"a": "y", "b": 1}, {"a": "y", "b": None}]
    result = reconcile(votes)
    assert result.value == {"a": "y", "b": 1}
    assert result.likelihoods == {"a": 0.5, "b": 0.5}  # 3 of the 6 pairs agree on each
    assert fields(votes) == {"a": ("y", 0.5, 3, 4), "b": (1, 0.5, 3, 4)}


def test_ties_go_to_the_reference_vote() -> None:
    votes = [{"a": "x"}, {"a": "y"}, {"a": "y"}, {"a": "x"}]
    assert reconcile(votes).value == {"a": "x"}
    assert reconcile(votes, reference=1).value == {"a": "y"}
    assert reconcile([{"a": "z"}, {"a": "y"}, {"a": "y"}, {"a": "x"}, {"a": "x"}]).value == {"a": "y"}


def test_strings_agree_without_regard_to_case_and_runs_of_blanks() -> None:
    votes = [{"a": "Acme  Ltd"}, {"a": "ACME LTD"}, {"a": "Acme Ltd."}]
    assert fields(votes) == {"a": ("Acme  Ltd", 0.333, 2, 3)}


def test_integers_must_be_equal_and_other_numbers_close() -> None:
    votes = [{"x": 1000}, {"x": 1001}, {"x": 1001}]
    assert fields(votes, INTEGER) == {"x": (1001, 0.333, 2, 3)}
    assert fields(votes, NUMBER) == {"x": (1001, 1.0, 3, 3)}
    assert fields([{"x": 10.0}, {"x": 12.0}, {"x": 12.0}], NUMBER) == {"x": (12.0, 0.333, 2, 3)}


def test_close_numbers_without_a_most_frequent_one_are_averaged() -> None:
    assert reconcile([{"x": 10.001}, {"x": 10.002}, {"x": 10.003}], NUMBER).value == {"x": 10.002}
    assert reconcile([{"x": 10.001}, {"x": 10.002}], NUMBER).value == {"x": 10.001}


def test_a_key_is_there_when_most_votes_have_it() -> None:
    assert reconcile([{"a": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 2}]).value == {"a": 1, "b": 2}
    assert reconcile([{"a": 1, "b": 2}, {"a": 1}, {"a": 1}]).value == {"a": 1}


def test_arrays_are_aligned_by_content_and_not_by_position() -> None:
    pens, ink, paper = {"name": "pens", "price": 5}, {"name": "ink", "price": 3}, {"name": "paper", "price": 8}
    result = reconcile(
        [{"l": [pens, ink, paper]}, {"l": [ink, paper]}, {"l": [{"name": "pen", "price": 5}, ink, paper]}]
    )
    assert result.value == {"l": [pens, ink, paper]}
    assert result.likelihoods["l"][1] == {"name": 1.0, "price": 1.0}
    assert result.likelihoods["l"][0] == {"name": 0.0, "price": pytest.approx(1 / 3)}
    assert result.aligned[1] == {"l": [None, ink, paper]}
    (second,) = [path for path in result.paths if path.canonical_path == "l.1.name"]
    assert second.source_paths == ("l.1.name", "l.0.name", "l.1.name")


def test_an_item_that_the_reference_lacks_comes_where_the_others_have_it() -> None:
    assert reconcile([["aa", "cc"], ["aa", "bb", "cc"], ["aa", "bb", "cc"]]).value == ["aa", "bb", "cc"]
    assert reconcile([["aa", "bb", "cc"], ["aa", "cc"], ["aa", "cc"]]).value == ["aa", "cc"]


def test_repeated_items_are_counted() -> None:
    assert reconcile([["a", "a"], ["a", "a"], ["a"]]).value == ["a", "a"]


def test_empty_containers_and_types_that_differ() -> None:
    assert reconcile([{"a": []}, {"a": []}, {"a": [1]}]).value == {"a": []}
    assert reconcile([{"a": {"b": 1}}, {"a": None}, {"a": None}]).value == {"a": None}
    assert reconcile([{"a": {"b": 1}}, {"a": {"b": 1}}, {"a": None}]).likelihoods == {"a": {"b": pytest.approx(1 / 3)}}
    assert fields([{}, {}]) == {"": ({}, 1.0, 2, 2)}


def test_the_best_vote_is_the_one_with_most_of_the_value() -> None:
    votes = [{"a": 1, "b": 1, "c": 9}, {"a": 1, "b": 2, "c": 3}, {"a": 0, "b": 2, "c": 3}]
    assert reconcile(votes).best_vote() == 1


def test_one_vote_is_the_value_and_none_is_an_error() -> None:
    assert fields([{"a": {"b": [1]}}]) == {"a.b.0": (1, 1.0, 1, 1)}
    with pytest.raises(ValueError, match="no votes"):
        reconcile([])


@settings(max_examples=150, deadline=None)
@given(VALUES, st.integers(1, 5))
def test_equal_votes_give_their_value_with_full_agreement(value: Any, count: int) -> None:
    result = reconcile([value] * count)
    assert json.dumps(result.value) == json.dumps(value)
    assert all(field.likelihood == 1.0 and field.supporting == count for field in result.fields)
    assert list(result.aligned) == [value] * count


@settings(max_examples=150, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=4))
def test_the_tree_mirrors_the_value_and_every_leaf_is_listed_once(votes: list[Any]) -> None:
    result = reconcile(votes)

    def leaves(value: Any, tree: Any, path: str) -> list[tuple[str, Any, float | None]]:
        if isinstance(value, dict) and value:
            assert isinstance(tree, dict)
            assert list(tree) == list(value)
            return [leaf for key in value for leaf in leaves(value[key], tree[key], f"{path}.{key}" if path else key)]
        if isinstance(value, list) and value:
            assert isinstance(tree, list)
            assert len(tree) == len(value)
            inner = [(f"{path}.{i}" if path else str(i), item, tree[i]) for i, item in enumerate(value)]
            return [leaf for name, item, branch in inner for leaf in leaves(item, branch, name)]
        return [(path, value, tree if isinstance(tree, float) else None)]

    found = leaves(result.value, result.likelihoods, "")
    listed = {field.path: field for field in result.fields}
    for path, value, likelihood in found:
        if path in listed:
            assert listed[path].value == value
            assert likelihood is None or listed[path].likelihood == likelihood
            assert 0 <= listed[path].likelihood <= 1
    assert len({field.path for field in result.fields}) == len(result.fields)


def test_alignment_finds_the_best_assignment() -> None:
    reference = ["alpha", "beta", "gamma", "delta"]
    for order in permutations(["alphas", "betas", "gammas", "deltas"]):
        slots = align([reference, list(order)], 0)
        assert [slot.indices[1] for slot in slots] == [order.index(name + "s") for name in reference]


@settings(max_examples=100, deadline=None)
@given(VALUES, VALUES)
def test_similarity_is_a_symmetric_share(one: Any, other: Any) -> None:
    assert similarity(one, one) == 1.0
    assert 0.0 <= similarity(one, other) <= 1.0
    assert similarity(one, other) == pytest.approx(similarity(other, one), abs=0.02)
