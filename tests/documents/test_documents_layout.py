from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from local_retab.documents import WordBox, lay_out

WIDTH, HEIGHT = 600.0, 800.0
MAX_BLANKS = 120


def words(text: str, left: float, top: float, size: float = 10.0, pitch: float = 5.0) -> list[WordBox]:
    """The words of a line in a font whose characters are all ``pitch`` points wide."""
    boxes = []
    at = 0
    for word in text.split(" "):
        if word:
            x = left + at * pitch
            boxes.append(WordBox(word, x, top, x + len(word) * pitch, top + size))
        at += len(word) + 1
    return boxes


def page(*lines: tuple[str, float, float]) -> list[WordBox]:
    return [box for text, left, top in lines for box in words(text, left, top)]


def test_no_words_is_no_text() -> None:
    assert lay_out([], WIDTH, HEIGHT) == ""


def test_words_of_a_line_are_joined_by_one_space_and_lines_by_a_newline() -> None:
    assert (
        lay_out(page(("the first line", 50, 50), ("the second", 50, 62)), WIDTH, HEIGHT) == "the first line\nthe second"
    )


def test_a_line_is_where_the_words_are_and_not_where_they_stand_in_the_file() -> None:
    boxes = page(("bottom", 50, 80), ("right", 300, 50), ("left", 50, 50))
    first, *_, last = lay_out(boxes, WIDTH, HEIGHT).splitlines()
    assert (first.split(), last) == (["left", "right"], "bottom")


def test_indentation_is_kept() -> None:
    assert lay_out(page(("one", 50, 50), ("two", 70, 62)), WIDTH, HEIGHT) == "one\n    two"


def test_a_wide_vertical_gap_is_one_blank_line_however_wide() -> None:
    near = lay_out(page(("one", 50, 50), ("two", 50, 80)), WIDTH, HEIGHT)
    far = lay_out(page(("one", 50, 50), ("two", 50, 700)), WIDTH, HEIGHT)
    assert near == far == "one\n\ntwo"


def test_a_value_stays_beside_its_label() -> None:
    boxes = page(("Invoice number", 50, 50), ("Due", 50, 62), ("A-17", 450, 50), ("June", 450, 62))
    assert lay_out(boxes, WIDTH, HEIGHT) == "Invoice number    A-17\nDue               June"


def test_two_columns_stay_two_columns() -> None:
    left = page(("on the left", 50, 50), ("more", 50, 62), ("left ends here", 50, 74))
    right = page(("on the right", 320, 50), ("more", 320, 62), ("right ends here", 320, 74))
    lines = lay_out(left + right, WIDTH, HEIGHT).splitlines()
    assert [line.split("    ", 1)[0].strip() for line in lines] == ["on the left", "more", "left ends here"]
    assert lines[0].index("on the right") == lines[1].rindex("more") == lines[2].index("right ends here")


def test_a_table_keeps_its_columns_and_numbers_their_right_edge() -> None:
    rows = [("Item", "Qty", "Amount"), ("Bookcase of oak", "4", "1,756.00"), ("Lamp", "18", "7.50")]
    boxes = []
    for row, (item, quantity, amount) in enumerate(rows):
        top = 50 + 12 * row
        boxes += words(item, 50, top)
        boxes += words(quantity, 300 - 5 * len(quantity), top)
        boxes += words(amount, 500 - 5 * len(amount), top)
    assert lay_out(boxes, WIDTH, HEIGHT).splitlines() == [
        "Item               Qty    " + "  Amount",
        "Bookcase of oak      4    1,756.00",
        "Lamp                18        7.50",
    ]


def test_an_empty_cell_leaves_its_column_empty() -> None:
    boxes = page(("Name", 50, 50), ("Note", 200, 50), ("Sum", 400, 50), ("Ann", 50, 62), ("7", 400, 62))
    header, row = lay_out(boxes, WIDTH, HEIGHT).splitlines()
    assert header.index("Sum") == row.index("7")


def test_cells_that_are_wider_than_the_grid_are_kept_apart() -> None:
    narrow = [WordBox("abcdefghijklmnop", 50, 50, 70, 60), WordBox("next", 85, 50, 105, 60)]
    text = lay_out(narrow + page(("ordinary words that set the pitch of the page", 50, 70)), WIDTH, HEIGHT)
    assert text.splitlines()[0] == "abcdefghijklmnop   next"


def test_a_superscript_is_on_the_line_of_its_word() -> None:
    boxes = [*words("area 20 m", 50, 50), WordBox("2", 96, 47, 99, 54), *words("below", 50, 64)]
    assert lay_out(boxes, WIDTH, HEIGHT) == "area 20 m 2\nbelow"


def test_a_tall_word_does_not_merge_the_small_lines_beside_it() -> None:
    boxes = [
        WordBox("TOTAL", 50, 50, 150, 86),
        *words("first", 300, 50),
        *words("second", 300, 63),
        *words("third", 300, 76),
    ]
    lines = lay_out(boxes, WIDTH, HEIGHT).splitlines()
    assert [line.split() for line in lines] == [["first"], ["TOTAL", "second"], ["third"]]


def test_overlapping_words_all_appear() -> None:
    boxes = [
        WordBox("under", 50, 50, 80, 60),
        WordBox("over", 60, 51, 80, 61),
        WordBox("same", 50, 50, 80, 60),
    ]
    assert sorted(lay_out(boxes, WIDTH, HEIGHT).split()) == ["over", "same", "under"]


def test_text_up_the_side_follows_the_body_as_one_line() -> None:
    side = [
        WordBox("Form", 20, 400, 32, 422),
        WordBox("4711", 20, 375, 32, 397),
        WordBox("revised", 20, 330, 32, 370),
        WordBox("in", 20, 318, 32, 327),
        WordBox("2024", 20, 293, 32, 315),
    ]
    body = page(("Name Ann", 50, 300), ("Town Oslo", 50, 320), ("Land Norway", 50, 410))
    text = lay_out(side + body, WIDTH, HEIGHT)
    assert text == "Name Ann\n\nTown Oslo\n\nLand Norway\n\nForm 4711 revised in 2024"


def test_arabic_words_are_read_from_the_right() -> None:
    boxes = [
        WordBox("العربية", 50, 50, 90, 60),
        WordBox("الخطوط", 94, 50, 130, 60),
        WordBox("انواع", 134, 50, 160, 60),
    ]
    assert lay_out(boxes, WIDTH, HEIGHT) == "انواع الخطوط العربية"


def test_a_long_way_across_is_bounded() -> None:
    beside = [WordBox("x", 1e6, 50, 1e6 + 1, 60), WordBox("y", 0, 50, 1, 60)]
    assert lay_out(beside, 1e9, HEIGHT) == "y    x"
    below = [WordBox("x", 1e6 - 1, 50, 1e6, 60), WordBox("y", 0, 70, 1, 80)]
    assert lay_out(below, 1e9, HEIGHT) == " " * MAX_BLANKS + "x\n\ny"


coordinates = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(min_value=-50, max_value=900),
    st.sampled_from([0.0, -1e9, 1e9, math.nan, math.inf, -math.inf]),
)
word_boxes = st.lists(
    st.builds(
        WordBox,
        text=st.text(min_size=1, max_size=8),
        left=coordinates,
        top=coordinates,
        right=coordinates,
        bottom=coordinates,
    ),
    max_size=30,
)


@given(word_boxes, coordinates, coordinates)
def test_any_boxes_give_all_their_words_in_bounded_text(boxes: list[WordBox], width: float, height: float) -> None:
    text = lay_out(boxes, width, height)
    assert all(box.text in text for box in boxes)
    assert len(text) <= sum(len(box.text) + MAX_BLANKS + 2 for box in boxes)
    assert sum(map(len, text.split(" "))) >= sum(len(box.text.replace(" ", "")) for box in boxes)
    assert lay_out(boxes, width, height) == text
