from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from local_retab.documents import WordBox
from local_retab.documents.words import WordGrouper, words_in_rectangle

WIDTH, HEIGHT = 300.0, 200.0


def grouped(text: str, left: float = 10.0, top: float = 10.0, pitch: float = 6.0) -> list[WordBox]:
    grouper = WordGrouper(WIDTH, HEIGHT)
    for index, character in enumerate(text):
        x = left + index * pitch
        grouper.add(ord(character), x, top, x + pitch, top + 12)
    return grouper.words()


def texts(text: str) -> list[str]:
    return [word.text for word in grouped(text)]


def test_a_word_has_the_box_of_its_characters() -> None:
    assert grouped("ab cd") == [WordBox("ab", 10, 10, 22, 22), WordBox("cd", 28, 10, 40, 22)]


def test_every_blank_separates() -> None:
    assert texts("a b\tc\r\nd\u00a0e\u2003f\u3000g") == list("abcdefg")


def test_what_has_no_form_is_left_out_without_ending_the_word() -> None:
    assert texts("a\x00b\x07c\u200bd\u200fe\ufeff\uffff") == ["abcde"]


def test_joiners_are_part_of_the_spelling() -> None:
    assert texts("می\u200cخواهم") == ["می\u200cخواهم"]


def test_ligatures_are_spelt_out() -> None:
    assert texts("o\ufb03ce \ufb02at") == ["office", "flat"]


def test_a_drawn_soft_hyphen_is_a_hyphen() -> None:
    assert texts("2024\u00ad01") == ["2024-01"]


def test_a_hyphen_at_the_end_of_a_line_ends_the_word() -> None:
    assert texts("re\x02port") == ["re-", "port"]
    assert texts("re\ufffeport") == ["re-", "port"]


def test_a_jump_ends_the_word() -> None:
    grouper = WordGrouper(WIDTH, HEIGHT)
    grouper.add(ord("a"), 10, 10, 16, 22)
    grouper.add(ord("b"), 24, 10, 30, 22)
    grouper.add(ord("c"), 60, 26, 66, 38)
    grouper.add(ord("d"), 10, 42, 16, 54)
    assert [word.text for word in grouper.words()] == ["a", "b", "c", "d"]


def test_kerned_overlapping_and_vertical_characters_continue_the_word() -> None:
    grouper = WordGrouper(WIDTH, HEIGHT)
    grouper.add(ord("A"), 10, 10, 18, 22)
    grouper.add(ord("V"), 17, 10, 25, 22)
    grouper.add(ord(" "), 25, 10, 25, 10)
    for index, character in enumerate("up"):
        grouper.add(ord(character), 100, 90 - 6 * index, 112, 96 - 6 * index)
    assert [word.text for word in grouper.words()] == ["AV", "up"]


def test_surrogates_are_one_character_and_a_lone_one_is_none() -> None:
    grouper = WordGrouper(WIDTH, HEIGHT)
    for code in (0xD83D, 0xDE00, 0xD83D, ord("a"), 0xDE00):
        grouper.add(code, 10, 10, 16, 22)
    assert [word.text for word in grouper.words()] == ["\U0001f600a"]


def test_characters_outside_the_page_or_without_extent_are_left_out() -> None:
    grouper = WordGrouper(WIDTH, HEIGHT)
    for character, box in {
        "a": (10, 10, 16, 22),
        "b": (-20, 10, -14, 22),
        "c": (301, 10, 307, 22),
        "d": (10, 201, 16, 213),
        "e": (16, 10, 16, 10),
        "f": (math.nan, 10, 16, 22),
        "g": (10, -math.inf, 16, math.inf),
        "h": (16, 10, 22, 22),
    }.items():
        grouper.add(ord(character), *box)
    assert grouper.words() == [WordBox("ah", 10, 10, 22, 22)]


def test_a_character_over_the_edge_is_cut_to_the_page() -> None:
    grouper = WordGrouper(WIDTH, HEIGHT)
    grouper.add(ord("a"), 296, -2, 303, 10)
    assert grouper.words() == [WordBox("a", 296, 0, 300, 10)]


@given(
    st.lists(
        st.tuples(
            st.integers(min_value=0, max_value=0x120000),
            *[st.floats(min_value=-1e4, max_value=1e4) | st.sampled_from([math.nan, math.inf]) for _ in range(4)],
        ),
        max_size=20,
    )
)
def test_any_characters_give_words_on_the_page(
    characters: list[tuple[int, float, float, float, float]],
) -> None:
    grouper = WordGrouper(WIDTH, HEIGHT)
    for character in characters:
        grouper.add(*character)
    for word in grouper.words():
        assert word.text.strip() == word.text != ""
        assert 0 <= word.left <= WIDTH
        assert 0 <= word.right <= WIDTH
        assert 0 <= word.top <= HEIGHT
        assert 0 <= word.bottom <= HEIGHT


def test_a_field_value_is_spread_over_its_rectangle() -> None:
    first, second, below = words_in_rectangle("Ann Lee\nOslo", 100, 50, 200, 70)
    assert [first.text, second.text, below.text] == ["Ann", "Lee", "Oslo"]
    assert (first.left, first.top, first.bottom) == (100, 50, 60)
    assert first.right < second.left < second.right <= 200
    assert (below.left, below.top, below.bottom) == (100, 60, 70)


def test_a_value_of_blanks_is_no_word() -> None:
    assert words_in_rectangle(" \n\t\x00 ", 100, 50, 200, 70) == []
