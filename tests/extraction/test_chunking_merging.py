"""What parts gave, made one value: by the lines that items stand on, and by evidence."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from chunking_pages import lines_of, part
from hypothesis import given
from hypothesis import strategies as st

from local_retab.extraction.chunking.lines import DocumentLines
from local_retab.extraction.chunking.merging import CONFIDENT, Part, merge
from local_retab.extraction.chunking.placing import place_items
from local_retab.extraction.partial import MISSING, extends


def rows(*entries: str) -> list[dict[str, Any]]:
    return [{"name": name, "price": float(price)} for name, price in (entry.split() for entry in entries)]


def document(*entries: str) -> DocumentLines:
    return lines_of("\n".join(entries))


class TestPlacing:
    def test_each_item_is_on_its_line(self) -> None:
        lines = document("List", "pen 1.00", "ink 2.00", "", "pen 3.00")
        assert place_items(rows("pen 1", "ink 2", "pen 3"), lines, range(5)) == [1, 2, 4]

    def test_equal_rows_are_on_lines_of_their_own(self) -> None:
        lines = document("pen 1.00", "pen 1.00", "ink 2.00", "pen 1.00")
        assert place_items(rows("pen 1", "pen 1", "ink 2", "pen 1"), lines, range(4)) == [0, 1, 2, 3]

    def test_what_is_not_printed_is_nowhere(self) -> None:
        lines = document("pen 1.00", "ink 2.00")
        assert place_items([*rows("cap 7", "ink 2"), {}, None, {"name": None}], lines, range(2)) == [
            None, 1, None, None, None,
        ]  # fmt: skip

    def test_several_things_on_a_line(self) -> None:
        assert place_items(["pen", "ink", "cap"], document("pen, ink", "cap"), range(2)) == [0, 0, 1]

    def test_the_lines_of_a_window_alone(self) -> None:
        lines = document("pen 1.00", "pen 1.00", "pen 1.00")
        assert place_items(rows("pen 1", "pen 1"), lines, [0, 2]) == [0, 2]

    def test_an_item_over_several_lines_is_where_most_of_it_is(self) -> None:
        lines = document("pen", "steel nib 4.50", "ink", "black 2.00")
        items = [{"name": "pen", "kind": "steel nib", "price": 4.5}, {"name": "ink", "kind": "black", "price": 2}]
        assert place_items(items, lines, range(4)) == [1, 3]

    @given(st.lists(st.sampled_from(["pen 1.00", "pen 2.00", "ink 1.00", "--"]), max_size=25), st.randoms())
    def test_places_never_go_back(self, texts: list[str], random_of: random.Random) -> None:
        lines = document(*texts)
        kept = [text for text in texts if text != "--" and random_of.random() < 0.8]
        places = place_items(rows(*kept), lines, range(len(texts)))
        assert None not in places
        assert all(early < late for early, late in pairwise(place for place in places if place is not None))


class TestSeams:
    def test_what_two_windows_share_comes_once(self) -> None:
        lines = document("a 1.00", "b 2.00", "c 3.00", "d 4.00")
        merged = merge([part(rows("a 1", "b 2", "c 3"), (0, 1, 2)), part(rows("c 3", "d 4"), (2, 3))], lines)
        assert merged.value == rows("a 1", "b 2", "c 3", "d 4")
        assert merged.items == {"": [0, 1, 2, 3]}

    def test_equal_rows_elsewhere_survive(self) -> None:
        lines = document(*["a 1.00"] * 6)
        merged = merge([part(rows(*["a 1"] * 4), (0, 1, 2, 3)), part(rows(*["a 1"] * 4), (2, 3, 4, 5))], lines)
        assert merged.value == rows(*["a 1"] * 6)

    def test_a_row_that_one_window_missed_is_taken_from_the_other(self) -> None:
        lines = document("a 1.00", "b 2.00", "c 3.00", "d 4.00")
        merged = merge([part(rows("a 1", "c 3"), (0, 1, 2)), part(rows("b 2", "d 4"), (1, 2, 3))], lines)
        assert merged.value == rows("a 1", "b 2", "c 3", "d 4")

    def test_texts_that_a_later_part_names_again_come_once(self) -> None:
        lines = document("Bank A and Bank B", "Bank A and Bank A", "BANK  A or Bank C")
        parts = [
            part({"x": ["Bank A", "Bank B"], "n": [1, 2]}, (0,)),
            part({"x": ["Bank A", "Bank A"], "n": [1]}, (1,)),
            part({"x": ["BANK  A", "Bank C"], "n": [3]}, (2,)),
        ]
        assert merge(parts, lines).value == {"x": ["Bank A", "Bank B", "Bank C"], "n": [1, 2, 1, 3]}
        assert merge(parts, lines, texts_once=False).value["x"] == [  # type: ignore[index,call-overload]
            "Bank A", "Bank B", "Bank A", "Bank A", "BANK  A", "Bank C",
        ]  # fmt: skip
        assert merge([part(["Bank A", "Bank A"], (1,))], lines).value == ["Bank A", "Bank A"]

    def test_an_empty_window_changes_nothing(self) -> None:
        lines = document("a 1.00", "--", "b 2.00")
        parts = [part(rows("a 1"), (0,)), part([], (1,)), part(None, (1,)), part(rows("b 2"), (2,))]
        assert merge(parts, lines).value == rows("a 1", "b 2")
        assert merge([part([], (0,)), part([], (1,))], lines).value == []
        assert merge([part(None, (0,))], lines).value is None
        assert merge([], lines).value is MISSING

    def test_an_item_that_the_seam_cuts_is_completed(self) -> None:
        lines = document("x 9.00", "pen", "steel nib 4.50")
        first = [{"name": "x", "kind": None, "price": 9.0}, {"name": "pen", "kind": None, "price": None}]
        second = [{"name": "pen", "kind": "steel nib", "price": 4.5}]
        merged = merge([part(first, (0, 1)), part(second, (1, 2))], lines)
        assert merged.value == [first[0], second[0]]

    def test_arrays_in_items_are_joined_as_well(self) -> None:
        lines = document("Order 7", "pen 1.00", "ink 2.00", "cap 3.00", "Order 8", "nib 4.00")
        first = [{"order": 7, "lines": rows("pen 1", "ink 2")}]
        second = [{"order": 7, "lines": rows("ink 2", "cap 3")}, {"order": 8, "lines": rows("nib 4")}]
        merged = merge([part(first, (0, 1, 2)), part(second, (0, 2, 3, 4, 5))], lines)
        assert merged.value == [
            {"order": 7, "lines": rows("pen 1", "ink 2", "cap 3")},
            {"order": 8, "lines": rows("nib 4")},
        ]
        assert merged.items == {"": [0, 4]}

    def test_items_that_are_nowhere_stay_behind_the_one_before(self) -> None:
        lines = document("a 1.00", "b 2.00")
        merged = merge([part([*rows("a 1"), {"name": "made up"}], (0,)), part(rows("b 2"), (1,))], lines)
        assert merged.value == [*rows("a 1"), {"name": "made up"}, *rows("b 2")]
        assert merged.items == {"": [0, None, 1]}

    def test_notices_find_their_items_again(self) -> None:
        lines = document("a 1.00", "b 2.00", "c 3.00")
        merged = merge([part({"x": rows("a 1", "b 2")}, (0, 1)), part({"x": rows("b 2", "c 3")}, (1, 2))], lines)
        assert merged.pointer(1, "/x/1/price") == "/x/2/price"
        assert merged.pointer(1, "/x/0") == "/x/1"
        assert merged.pointer(1, "/other") == "/other"

    @given(
        st.lists(st.sampled_from(["a 1.00", "a 1.00", "b 2.00", "c 3.00", "--"]), min_size=1, max_size=30),
        st.lists(st.integers(1, 8), min_size=1, max_size=12),
        st.integers(0, 4),
    )
    def test_windows_of_any_size_give_every_row_once(self, texts: list[str], steps: list[int], overlap: int) -> None:
        lines = document(*texts)
        parts: list[Part] = []
        start = 0
        for step in (*steps, len(texts)):
            window = range(max(start - overlap, 0), min(start + step, len(texts)))
            if start < len(texts):
                parts.append(part(rows(*(texts[line] for line in window if texts[line] != "--")), window))
            start += step
        expected = [line for line, text in enumerate(texts) if text != "--"]
        merged = merge(parts, lines)
        assert merged.value == rows(*(texts[line] for line in expected))
        assert merged.items == {"": expected}


class TestEvidence:
    LINES = document("x", "y", "z")

    def value(self, *stated: tuple[Any, float]) -> Any:
        parts = [part({"a": value}, (line,), likelihood) for line, (value, likelihood) in enumerate(stated)]
        return merge(parts, self.LINES).value["a"]  # type: ignore[index, call-overload]

    def test_the_first_that_is_sure(self) -> None:
        assert self.value((None, 1.0), ("one", CONFIDENT), ("two", 1.0)) == "one"

    def test_else_the_likeliest(self) -> None:
        assert self.value(("one", 0.3), ("two", 0.6), ("three", 0.5)) == "two"
        assert self.value(("one", 0.3), ("two", CONFIDENT), ("three", 0.5)) == "two"

    def test_what_is_printed_where_it_was_read_goes_before_what_is_likelier(self) -> None:
        lines = document("Nothing here", "Governed by the law of Ohio", "Nor here", "of 03 Feb 2024")

        def value(*stated: tuple[Any, float]) -> Any:
            parts = [part({"a": value}, (line,), likelihood) for line, (value, likelihood) in enumerate(stated)]
            return merge(parts, lines).value["a"]  # type: ignore[index, call-overload]

        assert value(("Utah", 0.8), ("Ohio", 0.3), ("Texas", 0.7)) == "Ohio"
        assert value(("Ohio", 0.8), ("Utah", 0.7), ("Texas", 0.3)) == "Ohio"
        assert value(("Utah", CONFIDENT), ("Ohio", 0.3)) == "Utah"
        assert value(("2024-02-04", 0.8), (None, 1.0), (None, 1.0), ("2024-02-03", 0.3)) == "2024-02-03"
        assert value((True, 0.3), (False, 0.8)) is False

    def test_null_only_where_nobody_states_it(self) -> None:
        assert self.value((None, 1.0), ("one", 0.1)) == "one"
        assert self.value((None, 1.0), (None, 1.0)) is None
        assert self.value((False, 0.5), (None, 1.0)) is False

    def test_absent_keys_are_no_votes(self) -> None:
        parts = [part({}, (0,)), part({"b": 2}, (1,)), part({"a": 1}, (2,))]
        assert merge(parts, self.LINES).value == {"b": 2, "a": 1}

    def test_objects_key_by_key(self) -> None:
        parts = [part({"o": {"a": 1, "b": None}}, (0,)), part({"o": None}, (1,)), part({"o": {"b": 2}}, (2,))]
        merged = merge(parts, self.LINES)
        assert merged.value == {"o": {"a": 1, "b": 2}}
        assert merged.likelihoods == {"o": {"a": 1.0, "b": 1.0}}

    def test_parts_that_were_read_for_rows_say_nothing_else(self) -> None:
        parts = [part({"a": "one", "r": []}, (0,), 0.2), part({"a": "two", "r": ["y"]}, (1,), items_only=True)]
        assert merge(parts, self.LINES).value == {"a": "one", "r": ["y"]}

    @pytest.mark.parametrize("values", [({"a": 1}, ["x"]), (["x"], "text"), ("text", {"a": 1})])
    def test_kinds_that_differ_are_the_first_ones(self, values: tuple[Any, Any]) -> None:
        parts = [part(value, (line,)) for line, value in enumerate(values)]
        assert merge(parts, self.LINES).value == values[0]


leaves = st.one_of(st.none(), st.booleans(), st.sampled_from(["a", "b", "c", 1, 2.5]))
values = st.fixed_dictionaries(
    {},
    optional={
        "s": leaves,
        "t": leaves,
        "o": st.fixed_dictionaries({}, optional={"u": leaves}),
        "r": st.lists(st.sampled_from(["a", "b", "c", "nowhere"]), max_size=6),
    },
)


@given(
    st.lists(st.tuples(values, st.sampled_from([0.5, CONFIDENT, 1.0])), min_size=1, max_size=6),
    st.integers(0, 2),
    st.randoms(),
)
def test_snapshots_only_grow_whatever_order_the_windows_end_in(
    given_values: list[tuple[Any, float]], overlap: int, random_of: random.Random
) -> None:
    """Three lines a window, and after each window that is read what no other can change."""
    texts = [random_of.choice("abc") for _ in range(3 * len(given_values))]
    lines = document(*texts)
    windows = [range(max(3 * n - overlap, 0), 3 * n + 3) for n in range(len(given_values))]
    parts = [part(value, window, sure) for (value, sure), window in zip(given_values, windows, strict=True)]
    order = list(range(len(parts)))
    random_of.shuffle(order)
    shown: Any = MISSING
    for count in range(1, len(order)):
        read, unread = sorted(order[:count]), order[count:]
        before = min(windows[n].start for n in unread)
        known = [parts[n] for n in read if windows[n].start < before]
        snapshot = merge(known, lines, before=before).value
        assert extends(snapshot, shown)
        shown = snapshot
    whole = merge(parts, lines).value
    assert extends(whole, shown)
