"""Whether a page's text can be used as it is, by rules that can be measured.

A PDF may show one thing and say another: pages that are scans with no text or only a stamp, and fonts without a
map to Unicode, whose text layer is there but means nothing.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING

from local_retab.documents.layout import WordBox

if TYPE_CHECKING:
    from local_retab.documents.document import Page, Rectangle

_MAX_STRANGE = 0.1
"""Share of characters without a meaning; text has none, bar the odd bullet of a symbol font."""
_PER_MILLE = {
    "e": 140,
    "a": 85,
    "i": 75,
    "n": 72,
    "s": 69,
    "t": 66,
    "r": 66,
    "o": 58,
    "l": 46,
    "u": 43,
    "d": 42,
    "c": 33,
    "h": 30,
    "m": 29,
    "p": 24,
    "g": 18,
    "f": 15,
    "b": 14,
    "v": 13,
    "w": 10,
    "k": 9,
    "y": 9,
    "z": 6,
    "q": 3,
    "j": 3,
    "x": 2,
}
"""How often each letter stands, the mean of the large European languages."""
_MIN_LIKENESS = 0.8
"""Cosine to _PER_MILLE. Of 244 pages (contracts, forms, tables, records) the least like had 0.85; the same pages under
the most like of the 25 shifted alphabets had at most 0.77."""
_JUDGED_LETTERS = 150
_PICTURE = 0.2
"""Share of the page from which a picture counts as a part of its content."""
_FEW_WORDS = 20


class TextLayer(Enum):
    """What the words of a page are worth."""

    USABLE = "usable"
    PARTIAL = "partial"
    """There is a picture without words beside usable text: reading it may add something."""
    UNUSABLE = "unusable"
    """No words, words without meaning, or a stamp on a scan: the page must be read from its pixels."""


def judge(page: Page) -> TextLayer:
    """What the words of a page with a text layer (a PDF's) are worth. A blank page's are UNUSABLE like a scan's."""
    if not page.words or is_garbage(page.words):
        return TextLayer.UNUSABLE
    for picture in _large_pictures(page):
        if sum(_middle_in(picture, word) for word in page.words) < _FEW_WORDS:
            return TextLayer.UNUSABLE if len(page.words) < _FEW_WORDS else TextLayer.PARTIAL
    return TextLayer.USABLE


def is_garbage(words: Sequence[WordBox]) -> bool:
    """Whether the characters mean nothing: fonts without a map to Unicode give codes without a meaning, or the
    letters of another alphabet."""
    text = "".join(word.text for word in words)
    strange = sum(unicodedata.category(char) in {"Co", "Cn", "Cc", "Cs"} or char == "\ufffd" for char in text)
    if strange > _MAX_STRANGE * len(text):
        return True
    counts = Counter(char for char in text.casefold() if char in _PER_MILLE)
    return counts.total() >= _JUDGED_LETTERS and _likeness(counts) < _MIN_LIKENESS


def _likeness(counts: Mapping[str, int]) -> float:
    common = sum(share * counts[letter] for letter, share in _PER_MILLE.items())
    return common / (math.hypot(*_PER_MILLE.values()) * math.hypot(*counts.values()))


def outside(words: Sequence[WordBox], known: Sequence[WordBox]) -> list[WordBox]:
    """Those of ``words`` whose middle is in none of the ``known`` boxes."""
    boxes = [(box.left, box.top, box.right, box.bottom) for box in known]
    return [word for word in words if not any(_middle_in(box, word) for box in boxes)]


def _large_pictures(page: Page) -> list[Rectangle]:
    """Pictures that take a good part of the page; what scanners cut into strips is one."""
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in page.pictures]
    enough = _PICTURE * page.width * page.height
    large = [picture for picture, area in zip(page.pictures, areas, strict=True) if area >= enough]
    if large or sum(areas) < enough:
        return large
    lefts, tops, rights, bottoms = zip(*page.pictures, strict=True)
    return [(min(lefts), min(tops), max(rights), max(bottoms))]


def _middle_in(box: Rectangle, word: WordBox) -> bool:
    left, top, right, bottom = box
    return left <= (word.left + word.right) / 2 <= right and top <= (word.top + word.bottom) / 2 <= bottom
