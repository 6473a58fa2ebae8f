"""Crops of single lines to text: what the recogniser is shown, and what its output says (CTC)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Crop = NDArray[np.uint8]
    """(height, width, 3), blue, green, red, the line upright."""
    Frames = NDArray[np.float32]
    """(frames, symbols): probabilities along the line."""

_HEIGHT = 48
"""Pixels that the recogniser was trained at."""
_LEAST_WIDTH = 48
"""Narrower lines are padded with the middle grey, which the recogniser knows as padding."""
_BLANK = 0
"""The symbol that stands for no new character."""
_LIKENESS = 0.1
"""Probability of a look-alike, in that of the likeliest character, from which its neighbours decide."""
_LEAST_DIGITS = 3
"""Digits in a word that has no letters but look-alikes of digits, from which it is a number."""
_DIGITS = {"I": "1", "l": "1", "O": "0", "o": "0"}
"""Letters for digits. Not S: in amounts it is a dollar sign more often than a 5."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a crop says. ``score``: mean probability of its characters; ``centres``: their places as in TextLine."""

    text: str
    score: float
    centres: tuple[float, ...]


class LineReader:
    """Reads crops with ``run``, which gives for an image (1, 3, height, width) in [-1, 1] the probabilities (1, frames,
    symbols), symbol 0 being CTC's blank and ``characters`` the text of each.

    The likeliest symbol of each frame counts (best path of Graves et al. 2006, "Connectionist temporal
    classification"). Where two symbols that look alike are both likely, the characters beside them decide.
    """

    def __init__(self, run: Callable[[Any], Any], characters: Sequence[str]) -> None:
        self._run = run
        self._characters = characters
        self._symbols = {character: symbol for symbol, character in enumerate(characters)}

    def read(self, crop: Crop) -> Reading:
        """The text of one line. One crop at a time: what a line says never depends on its neighbours' widths."""
        height, width = crop.shape[:2]
        frames = self._frames(crop, max(math.ceil(_HEIGHT * width / height), 1))
        runs = _runs(frames)
        text = self._decided("".join(self._characters[symbol] for _, _, symbol in runs), frames, runs)
        sure = [float(frames[start].max()) for start, _, _ in runs]
        centres = tuple((start + end) / 2 / len(frames) for start, end, _ in runs)
        return Reading(text, sum(sure) / len(sure) if sure else 0.0, centres)

    def _frames(self, crop: Crop, across: int) -> Frames:
        """The probabilities for a crop that is stretched to ``across`` pixels; none for the padding."""
        import cv2
        import numpy as np

        image = np.zeros((1, 3, _HEIGHT, max(across, _LEAST_WIDTH)), dtype=np.float32)
        scaled = cv2.resize(crop, (across, _HEIGHT)).astype(np.float32)
        image[0, :, :, :across] = scaled.transpose(2, 0, 1) / 127.5 - 1
        frames: Frames = self._run(image)[0]
        return frames[: max(math.ceil(len(frames) * across / image.shape[3]), 1)]

    def _decided(self, text: str, frames: Frames, runs: Sequence[tuple[int, int, int]]) -> str:
        """The text with the look-alikes that its words ask for and the frames allow."""
        chars = list(text)
        for index, other in _asked(text):
            start, end, symbol = runs[index]
            likely = frames[start:end].max(axis=0)
            if likely[self._symbols[other]] >= _LIKENESS * likely[symbol]:
                chars[index] = other
        return "".join(chars)


def _asked(text: str) -> Iterator[tuple[int, str]]:
    """Places in the text where another character would fit its word better, and which: an l for the capital I
    between small letters, and a digit for a letter in what is a number otherwise."""
    for match in re.finditer(r"\S+", text):
        word = match.group()
        letters = {char for char in word if char.isalpha()}
        number = letters <= _DIGITS.keys() and sum(char.isdigit() for char in word) >= _LEAST_DIGITS
        for index, char in enumerate(word):
            if number and char in _DIGITS:
                yield match.start() + index, _DIGITS[char]
            elif char == "I" and word[:index][-1:].islower() and word[index + 1 :][:1].islower():
                yield match.start() + index, "l"


def _runs(frames: Frames) -> list[tuple[int, int, int]]:
    """First frame, end and symbol of each stretch that has one likeliest symbol, without the blanks."""
    import numpy as np

    likeliest = frames.argmax(axis=1)
    starts = [0, *(np.flatnonzero(likeliest[1:] != likeliest[:-1]) + 1).tolist()]
    ends = [*starts[1:], len(likeliest)]
    return [
        (start, end, int(likeliest[start]))
        for start, end in zip(starts, ends, strict=True)
        if likeliest[start] != _BLANK
    ]
