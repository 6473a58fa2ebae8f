"""The end of a string under a pattern: it matches, and none is shorter."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_retab.engine.completion import completion, patterns_of
from local_retab.schema import compile_grammar
from local_retab.schema.patterns import searcher

ALPHABET = "ab0"
PIECES = st.recursive(
    st.sampled_from(["a", "b", "0", "[ab]", "[^a]", ".", "^", "$"]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=2).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0}", "{1,}", "*?"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=5,
)


def shortest(pattern: str, begun: str, length: int, most: int) -> int | None:
    """The length of the shortest end over ALPHABET, by trying all up to ``most`` characters."""
    search = searcher(pattern)
    assert search is not None
    for more in range(most + 1):
        if len(begun) + more >= length and any(search(begun + "".join(end)) for end in product(ALPHABET, repeat=more)):
            return more
    return None


@given(PIECES, st.text(ALPHABET, max_size=3), st.integers(0, 4))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_an_end_matches_and_is_the_shortest(pattern: str, begun: str, length: int) -> None:
    automaton = completion(pattern)
    assert automaton is not None
    end = automaton.end(begun, length)
    known = shortest(pattern, begun, length, 4)
    if end is None:
        assert known is None
        return
    search = searcher(pattern)
    assert search is not None
    assert search(begun + end)
    assert len(begun + end) >= length
    assert known is None or len(end) == known


@pytest.mark.parametrize(
    ("pattern", "begun", "end"),
    [
        ("^[A-Z]{2}-\\d{4}$", "AB-1", "000"),
        ("^(TOKEN|IMMEDIATE)$", "I", "MMEDIATE"),
        ("^\\p{L}+\\s?\u20ac$", "x", "\u20ac"),
        ("total", "sub", "total"),
        ("^(\\d{1,3},)*\\d{1,3}$", "1,", "0"),
        ("^a{0,2}$", "aaa", None),
        ("^[^\\x00-\\x7f]$", "", "\u00e9"),
    ],
)
def test_known_ends(pattern: str, begun: str, end: str | None) -> None:
    automaton = completion(pattern)
    assert automaton is not None
    assert automaton.end(begun) == end


@pytest.mark.parametrize("pattern", ["^(?!x)a", "(a)\\1", "a{100000}", "((((a{30}){30}){30}){30})", "(", "\\bx"])
def test_what_is_not_read_has_no_completion(pattern: str) -> None:
    assert completion(pattern) is None


def test_a_length_that_costs_too_much_is_not_tried() -> None:
    automaton = completion("^[a-z]+$")
    assert automaton is not None
    assert automaton.end("", 1_000_000) is None


def test_the_patterns_of_a_grammar() -> None:
    grammar = compile_grammar(
        {
            "type": "object",
            "properties": {"pattern": {"type": "string", "pattern": "^a+$", "minLength": 3}},
            "patternProperties": {"^x": {"type": "array", "items": {"type": "string", "pattern": "^b$"}}},
            "additionalProperties": False,
        }
    )
    assert set(patterns_of(grammar)) == {("^a+$", 3), ("^x", 0), ("^b$", 0)}
