"""Decoding of what a recogniser says of a line, and when it is asked again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from local_retab.documents.line_reader import LineReader

pytest.importorskip("cv2")

CHARACTERS = ("", "6", "8", "0", " ")
CROP = np.full((24, 48, 3), 255, dtype=np.uint8)


class Recogniser:
    """Says the given frames (likelihoods of the five symbols) one after another, and keeps what it was shown."""

    def __init__(self, *answers: list[list[float]]) -> None:
        self._answers = list(answers)
        self.shown: list[Any] = []

    def __call__(self, image: Any) -> Any:
        self.shown.append(image)
        return np.array([self._answers.pop(0)], dtype=np.float32)


def surely(*symbols: int) -> list[list[float]]:
    return [[0.96 if symbol == one else 0.01 for symbol in range(5)] for one in symbols]


def test_repeated_frames_are_one_character_and_a_blank_parts_two() -> None:
    recogniser = Recogniser(surely(0, 1, 1, 0, 1, 4, 2, 0))
    reading = LineReader(recogniser, CHARACTERS).read(CROP)
    assert reading.text == "66 8"
    assert reading.score == pytest.approx(0.96)
    assert reading.centres == pytest.approx((2 / 8, 4.5 / 8, 5.5 / 8, 6.5 / 8))
    assert [image.shape for image in recogniser.shown] == [(1, 3, 48, 96)]


def test_a_line_without_characters_says_nothing() -> None:
    reading = LineReader(Recogniser(surely(0, 0)), CHARACTERS).read(CROP)
    assert (reading.text, reading.score, reading.centres) == ("", 0.0, ())


@pytest.mark.parametrize(
    ("text", "doubtful", "other", "read"),
    [
        ("WorId", 3, "l", "World"),  # a capital between small letters
        ("Ill", 0, "l", "Ill"),  # words begin with capitals
        ("WILD", 1, "l", "WILD"),
        ("I0010-8", 0, "1", "10010-8"),  # a letter in a number
        ("48O0 kg", 2, "0", "4800 kg"),
        ("A0010", 3, "O", "A0010"),
        ("U1I", 2, "1", "U1I"),  # too few digits for a number
    ],
)
def test_where_two_characters_look_alike_the_ones_beside_them_decide(
    text: str, doubtful: int, other: str, read: str
) -> None:
    characters = ("", *sorted({*text, other}))

    def said(doubt: float) -> Recogniser:
        frames = np.zeros((2 * len(text), len(characters)))
        for index, char in enumerate(text):
            frames[2 * index, characters.index(char)] = 1.0
            frames[2 * index + 1, 0] = 1.0
        frames[2 * doubtful, characters.index(text[doubtful])] = 1 - doubt
        frames[2 * doubtful, characters.index(other)] = doubt
        return Recogniser(frames.tolist())

    assert LineReader(said(0.3), characters).read(CROP).text == read
    assert LineReader(said(0.01), characters).read(CROP).text == text


def test_what_is_seen_in_the_padding_of_a_narrow_line_does_not_count() -> None:
    recogniser = Recogniser(surely(0, 1, 0, 0, 2, 2))
    reading = LineReader(recogniser, CHARACTERS).read(CROP[:, :12])
    assert reading.text == "6"
    assert reading.centres == pytest.approx((0.5,))
    assert np.all(recogniser.shown[0][0, :, :, 24:] == 0)
