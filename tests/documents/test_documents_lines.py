from __future__ import annotations

import math

import pytest

from local_retab.documents.lines import TextLine, place_lines


def line(
    text: str, left: float = 0.0, top: float = 0.0, pitch: float = 10.0, gaps: dict[int, float] | None = None
) -> TextLine:
    """A horizontal line of evenly spaced characters; ``gaps`` are pixels before a character."""
    x, middles = left, []
    for index in range(len(text)):
        x += (gaps or {}).get(index, 0.0)
        middles.append(x + pitch / 2)
        x += pitch
    corners = ((left, top), (x, top), (x, top + 20), (left, top + 20))
    return TextLine(text, corners, tuple((middle - left) / (x - left) for middle in middles))


def turned(source: TextLine, degrees: float, width: float, height: float) -> TextLine:
    """The line on the page after the page was turned clockwise about its middle."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    first, second, third, fourth = (
        (
            width / 2 + (x - width / 2) * cosine - (y - height / 2) * sine,
            height / 2 + (x - width / 2) * sine + (y - height / 2) * cosine,
        )
        for x, y in source.corners
    )
    return TextLine(source.text, (first, second, third, fourth), source.centres)


def boxes(source: TextLine) -> list[tuple[str, float, float]]:
    return [(text, round(quad[0][0], 1), round(quad[1][0], 1)) for text, quad in source.words()]


def test_words_end_at_blanks_and_take_their_part_of_the_line() -> None:
    assert boxes(line("Date due 5")) == [("Date", 0.0, 42.5), ("due", 47.5, 82.5), ("5", 87.5, 100.0)]


def test_a_wide_gap_ends_a_word_although_no_blank_was_read() -> None:
    assert boxes(line("1281.20", gaps={2: 60.0})) == [("12", 0.0, 22.5), ("81.20", 77.5, 130.0)]


def test_uneven_letters_do_not_end_a_word() -> None:
    assert [text for text, *_ in boxes(line("iWiWi", gaps={1: 8.0, 3: 8.0}))] == ["iWiWi"]


@pytest.mark.parametrize("text", ["", "   ", "7"])
def test_lines_of_next_to_nothing(text: str) -> None:
    assert [word for word, _ in line(text).words()] == text.split()


@pytest.mark.parametrize("degrees", [0, 90, 180, 270, 3, -7, 95, 172])
def test_the_text_reads_the_same_however_the_page_is_turned(degrees: float) -> None:
    lines = [line("Total due", 20, 40), line("12.50", 300, 40), line("Tax", 20, 80), line("1.25", 300, 80)]
    _, expected = place_lines(lines, 400, 400, 0.5)
    words, text = place_lines([turned(each, degrees, 400, 400) for each in lines], 400, 400, 0.5)
    assert [row.split() for row in text.splitlines()] == [row.split() for row in expected.splitlines()]
    assert [word.text for word in words] == ["Total", "due", "12.50", "Tax", "1.25"]


def test_boxes_are_on_the_page_as_displayed_in_points() -> None:
    (word,), _ = place_lines([turned(line("Tax", 20, 80), 90, 400, 400)], 400, 400, 0.5)
    assert (word.left, word.top, word.right, word.bottom) == pytest.approx((150, 10, 160, 25))


def test_no_lines_are_no_text() -> None:
    assert place_lines([], 400, 400, 1.0) == ((), "")
