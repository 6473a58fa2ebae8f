"""Lines, rows and windows: what of a document is read together."""

from __future__ import annotations

from itertools import pairwise

import pytest
from chunking_pages import lines_of
from hypothesis import given
from hypothesis import strategies as st

from local_retab.extraction.chunking.lines import MAX_LINE_CHARS, DocumentLines, PrintedLine
from local_retab.extraction.chunking.rows import row_lines
from local_retab.extraction.chunking.windows import (
    HEAD_LINES,
    OVERLAP_LINES,
    Window,
    missed_windows,
    page_windows,
    row_windows,
    segment_windows,
)

TABLE = """Statement

Date        Payee          Amount
2026-01-02  Harbour Paper  -12.50
2026-01-03  City Council   1,200.00
2026-01-03  City Council   1,200.00
Carried over               2,387.50"""


def unit(start: int, end: int) -> int:
    """Every line costs one."""
    return end - start


def covered(windows: list[Window]) -> set[int]:
    return {line for window in windows for line in window.lines}


class TestLines:
    def test_they_are_numbered_over_the_pages(self) -> None:
        lines = lines_of("a\nb", "", "c")
        assert lines.texts == ["a", "b", "", "c"]
        assert lines.starts == [0, 2, 3]
        assert [lines.page_number(line) for line in range(4)] == [1, 1, 2, 3]

    def test_pages_that_are_whole_are_the_pages_themselves(self) -> None:
        lines = lines_of("a\nb", "c\nd")
        first, second = lines.as_pages([0, 1, 3])
        assert first is lines.pages[0]
        assert (second.number, second.text) == (2, "d")

    @given(st.text(alphabet="ab ", min_size=1, max_size=3 * MAX_LINE_CHARS))
    def test_a_line_without_end_is_cut_and_nothing_is_lost(self, text: str) -> None:
        lines = lines_of(text)
        assert "".join(lines.texts) == text
        assert all(len(line) <= MAX_LINE_CHARS for line in lines.texts)

    @pytest.mark.parametrize(
        ("value", "line", "shown"),
        [
            (-12.5, "paid 12.50", True),
            (1200, "1,200.00 EUR", True),
            (12, "12.50", False),
            (1234567.8, "1 234 567,80", True),
            ("city  council", "City Council", True),
            ("EU", "Europe", False),
            ("EU", "the EU", True),
            ("2026-03-04", "4 March 2026", True),
            ("2026-03-04", "5 March 2026", False),
            ("Rent for the house in Mill Lane", "Rent for the house", True),
            (True, "true", False),
            (None, "null", False),
            ("", "", False),
        ],
    )
    def test_what_a_line_shows(self, value: object, line: str, shown: bool) -> None:
        assert PrintedLine(line).shows(value) is shown  # type: ignore[arg-type]


class TestRows:
    def test_sums_and_headings_are_none(self) -> None:
        assert row_lines(TABLE.split("\n")) == [3, 4, 5]

    def test_a_row_may_have_a_column_more_or_less(self) -> None:
        texts = ["1  Pen  2.00", "2  Ink  3.00", "3  Cap  4.00", "4  5.00", "5  Nib  steel  6.00"]
        assert row_lines(texts) == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize("text", ["", "Dear Ada,\nI am well.", "1  2\n3  4", "one  two\nthree  four\nfive  six"])
    def test_a_letter_has_none(self, text: str) -> None:
        assert row_lines(text.split("\n")) == []

    def test_separated_values(self) -> None:
        assert row_lines(["name,price", "1;Pen;2.00", "2;Ink;3.00", "3;Cap;4.00"]) == [1, 2, 3]


sizes = st.lists(st.integers(1, 12), min_size=1, max_size=12)


class TestPageWindows:
    @given(sizes, st.integers(1, 20), st.booleans())
    def test_every_line_is_in_a_window_and_none_is_too_large(self, sizes: list[int], room: int, overlap: bool) -> None:
        lines = lines_of(*("\n".join("x" * size) for size in sizes))
        windows = page_windows(lines, [], unit, [0] * len(sizes), room, overlap=overlap)
        assert covered(windows) == set(range(len(lines)))
        for window in windows:
            assert window.lines == tuple(range(window.lines[0], window.lines[-1] + 1))
            assert window.tokens == len(window.shown) <= max(room, 1)
        for before, after in pairwise(windows):
            shared = set(before.lines) & set(after.lines)
            assert len(shared) <= (OVERLAP_LINES if overlap else 0)
            assert after.lines[-1] > before.lines[-1]
            assert after.start <= before.lines[-1] + 1

    @given(sizes, st.integers(24, 60))
    def test_where_there_is_room_the_overlap_is_exact(self, sizes: list[int], room: int) -> None:
        lines = lines_of(*("\n".join("x" * size) for size in sizes))
        windows = page_windows(lines, [], unit, [0] * len(sizes), room)
        for before, after in pairwise(windows):
            new = before.lines[-1] + 1
            assert new in lines.starts  # pages that fit are not cut
            assert after.start == max(new - OVERLAP_LINES, 0)

    def test_a_document_that_fits_is_one_window(self) -> None:
        assert page_windows(lines_of("a", "b"), [], unit, [0, 0], 2) == [Window((0, 1), tokens=2)]

    def test_images_count_for_every_piece_of_their_page(self) -> None:
        lines = lines_of("a\nb\nc\nd", "e")
        windows = page_windows(lines, [], unit, [10, 10], 13, overlap=False)
        assert [window.lines for window in windows] == [(0, 1), (2, 3), (4,)]
        assert [window.tokens for window in windows] == [12, 12, 11]

    def test_a_piece_of_a_page_is_shown_the_heads_of_its_columns(self) -> None:
        lines = lines_of(TABLE)
        rows = row_lines(lines.texts)
        *_, last = page_windows(lines, rows, unit, [0], 6)
        assert [line for line in last.shown if line < 3] == [0, 2]
        assert len(last.shown) == last.tokens <= 6


class TestRowWindows:
    @given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 9), st.integers(1, 30))
    def test_every_line_once_and_no_more_rows_than_asked(self, marks: list[bool], most: int, room: int) -> None:
        lines = lines_of("\n".join("r" if mark else "-" for mark in marks))
        rows = [line for line, mark in enumerate(marks) if mark]
        windows = row_windows(lines, rows, unit, room, most)
        assert [line for window in windows for line in window.lines] == list(range(len(marks)))
        for window in windows:
            assert len(set(window.lines) & set(rows)) <= most
            assert len(window.lines) <= max(room, 1)
            assert len(window.head) <= HEAD_LINES

    def test_they_begin_with_a_row_under_the_heads_of_the_columns(self) -> None:
        lines = lines_of(TABLE)
        first, second = row_windows(lines, [3, 4, 5], unit, 100, 2)
        assert first.lines == (0, 1, 2, 3, 4)
        assert (second.head, second.lines) == ((0, 2), (5, 6))

    def test_rows_that_were_missed_come_with_the_lines_up_to_the_next(self) -> None:
        lines = lines_of(TABLE)
        (window,) = missed_windows(lines, [3, 4, 5], [3, 5], unit, 9)
        assert (window.head, window.lines, window.again) == ((0, 2), (3, 5, 6), True)


class TestSegments:
    def test_rows_are_their_own_lines(self) -> None:
        windows = segment_windows(lines_of(TABLE), [3, 4, 5], [3, 4, 5], unit)
        assert [window.lines for window in windows] == [(2, 3), (4,), (5, 6)]

    def test_blocks_are_cut_at_blank_lines(self) -> None:
        text = "Order\n\nTo: Ada\nNo 1\npens\n\nTo: Bob\nNo 2\nink"
        windows = segment_windows(lines_of(text), [], [3, 7], unit)
        assert [window.lines for window in windows] == [(2, 3, 4, 5), (6, 7, 8)]

    @given(st.lists(st.sampled_from(["", "x", "k"]), min_size=1, max_size=40))
    def test_every_start_is_in_its_own_segment(self, texts: list[str]) -> None:
        lines: DocumentLines = lines_of("\n".join(texts))
        starts = [line for line, text in enumerate(lines.texts) if text == "k"]
        windows = segment_windows(lines, [], starts, unit)
        assert len(windows) == len(starts)
        for start, window in zip(starts, windows, strict=True):
            assert start in window.lines
        for before, after in pairwise(windows):
            assert before.lines[-1] < after.start
