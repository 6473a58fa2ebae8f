"""Characters of a PDF page, as PDFium lists them, to words with boxes."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from local_retab.documents.layout import WordBox

_HYPHENS_AT_LINE_END = {0x02, 0xFFFE}
"""What PDFium reports for a hyphen that ends a line: U+0002 by character, U+FFFE in text."""
_SOFT_HYPHEN = 0xAD
"""A glyph that is drawn is visible: fonts often have their only hyphen here."""
_JOINERS = {0x200C, 0x200D}
"""Without a form of their own, but part of the spelling of words in Persian and the scripts of India."""
_MAX_FIELD_LINE = 14.0
"""Points; a tall field with one line holds that line at its top."""


class WordGrouper:
    """Takes characters in the order of the page's text and gives words.

    A word ends at a blank, at a hyphen that ends a line, and where the next character does not continue it: it
    must follow across or down the page within half a character's size and on the same line. Characters whose
    middle is outside the page are not visible and are left out.
    """

    def __init__(self, width: float, height: float) -> None:
        self._width, self._height = width, height
        self._words: list[WordBox] = []
        self._text: list[str] = []
        self._box = (0.0, 0.0, 0.0, 0.0)
        self._last = (0.0, 0.0, 0.0, 0.0)
        self._high_surrogate = 0

    def add(self, code: int, left: float, top: float, right: float, bottom: float) -> None:
        """One character: its Unicode code point (or UTF-16 unit) and its box on the upright page, in points."""
        if 0xD800 <= code < 0xDC00:
            self._high_surrogate = code
            return
        if 0xDC00 <= code < 0xE000 and self._high_surrogate:
            code = 0x10000 + ((self._high_surrogate - 0xD800) << 10) + (code - 0xDC00)
        self._high_surrogate = 0
        text = _visible(code)
        if text == " ":
            self._end_word()
            return
        # A comparison with not a number is false, so that such a box counts as outside.
        inside = 0 <= left + right <= 2 * self._width and 0 <= top + bottom <= 2 * self._height
        if not text or not inside or (right <= left and bottom <= top):
            return
        box = (max(left, 0.0), max(top, 0.0), min(right, self._width), min(bottom, self._height))
        if self._text and not _follows(self._last, box):
            self._end_word()
        if self._text:
            self._box = (
                min(self._box[0], box[0]),
                min(self._box[1], box[1]),
                max(self._box[2], box[2]),
                max(self._box[3], box[3]),
            )
        else:
            self._box = box
        self._text.append(text)
        self._last = box
        if code in _HYPHENS_AT_LINE_END:
            self._end_word()

    def words(self) -> list[WordBox]:
        """The words so far, the one at hand included."""
        self._end_word()
        return self._words

    def _end_word(self) -> None:
        if self._text:
            self._words.append(WordBox("".join(self._text), *self._box))
            self._text = []


def _follows(last: tuple[float, float, float, float], box: tuple[float, float, float, float]) -> bool:
    size = 0.5 * max(box[2] - box[0], box[3] - box[1])
    across = max(box[0] - last[2], last[0] - box[2])
    down = max(box[1] - last[3], last[1] - box[3])
    shift_across = abs(box[0] + box[2] - last[0] - last[2]) / 2
    shift_down = abs(box[1] + box[3] - last[1] - last[3]) / 2
    return (across <= size and shift_down <= size) or (down <= size and shift_across <= size)


@lru_cache(maxsize=4096)
def _visible(code: int) -> str:
    """The text that a character shows: a blank for what separates words, nothing for what has no form."""
    if code in _HYPHENS_AT_LINE_END or code == _SOFT_HYPHEN:
        return "-"
    character = chr(code) if 0 < code < 0x110000 else ""
    if not character or code & 0xFFFE == 0xFFFE:
        return ""
    if character.isspace():
        return " "
    if unicodedata.category(character) in {"Cc", "Cf", "Cs"} and code not in _JOINERS:
        return ""
    if 0xFB00 <= code <= 0xFB06:
        return unicodedata.normalize("NFKC", character)
    return character


def words_in_rectangle(text: str, left: float, top: float, right: float, bottom: float) -> list[WordBox]:
    """The words of a form field's or a text note's value, spread over its rectangle line by line.

    The boxes are estimates: the value is known, the place of each word in its field is not.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    words: list[WordBox] = []
    if not lines:
        return words
    line_height = min((bottom - top) / len(lines), _MAX_FIELD_LINE)
    for row, line in enumerate(lines):
        pitch = min((right - left) / len(" ".join(line)), 0.5 * line_height)
        at = left
        for word in line:
            visible = "".join(map(_visible, map(ord, word)))
            end = at + len(word) * pitch
            if visible.strip():
                words.append(WordBox(visible, at, top + row * line_height, end, top + (row + 1) * line_height))
            at = end + pitch
    return words
