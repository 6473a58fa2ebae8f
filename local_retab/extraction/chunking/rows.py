"""Which lines of a document look like rows of its table: an estimate from the layout, before any model reads it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_GAP = re.compile(r"\s{2,}|\s*[|;\t]\s*")
"""What separates the columns of a line that was laid out in space, or written with separators."""
_DIGITS = re.compile(r"\d")
_LETTERS = re.compile(r"[^\W\d_]")
_MOST_LINES = 100_000


def row_lines(texts: Sequence[str]) -> list[int]:
    """The lines that have the columns of the document's most frequent kind of line, give or take one column.

    A line's kind is what its columns hold: digits (numbers, dates, codes) or words. Rows have two columns at least and
    digits in one of them; they begin and end as the most frequent kind does, so that sums and carried balances, which
    begin with a word where rows begin with a date, are none. Empty where no kind comes three times.
    """
    kinds = [_kind(text) for text in texts[:_MOST_LINES]]
    counts = Counter(kind for kind in kinds if len(kind) > 1 and "9" in kind)
    if not counts:
        return []
    common, times = max(counts.items(), key=lambda pair: (pair[1], len(pair[0])))
    if times < 3:
        return []
    return [line for line, kind in enumerate(kinds) if _alike(kind, common)]


def _kind(text: str) -> str:
    """One sign for each column: 9 with more digits than letters, else a."""
    columns = [column for column in _GAP.split(text.strip()) if column]
    return "".join("9" if len(_DIGITS.findall(col)) > len(_LETTERS.findall(col)) else "a" for col in columns)


def _alike(kind: str, common: str) -> bool:
    return (
        len(kind) > 1
        and "9" in kind
        and abs(len(kind) - len(common)) <= 1
        and (kind[0], kind[-1]) == (common[0], common[-1])
    )
