"""Lines that a document has on every page: running heads and feet.

A part far down a document would take the site that printed it for a party, and the day of printing for a date. The
first time such a line is read it says something; after that only that it is there again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from local_retab.extraction.folding import folded

MIN_PAGES = 4
SHARE = 0.6
"""Of the pages, so many have a line that runs."""
_EDGE = 3
"""Lines with a text at the top and at the foot of a page, among which it is."""
_MAX_CELLS = 2
"""The names of columns stand on every page, too, and are needed there: lines of more cells never run, and lines of
few words only with a digit, a page or a date."""
_MIN_WORDS = 5
_DIGITS = re.compile(r"[0-9]{1,18}")
_CELL = re.compile(r"\S+(?: \S+)*")


def repeated_heads(texts: Sequence[str], starts: Sequence[int]) -> frozenset[int]:
    """The lines that repeat a running head or foot; ``starts`` are the first lines of the pages.

    The first page that has one keeps it.
    """
    pages = list(pairwise([*starts, len(texts)]))
    if len(pages) < MIN_PAGES:
        return frozenset()
    found: dict[str, dict[int, int]] = {}  # by what a line is but for its numbers: the line on each page
    for number, (start, end) in enumerate(pages):
        for line in _edges(texts, start, end):
            found.setdefault(_DIGITS.sub("#", folded(texts[line])), {})[number] = line
    repeated: set[int] = set()
    for lines in found.values():
        if len(lines) >= max(MIN_PAGES, SHARE * len(pages)):
            numbers = {page: [int(digits) for digits in _DIGITS.findall(texts[line])] for page, line in lines.items()}
            _, *others = _alike(numbers)
            if len(others) + 1 >= max(MIN_PAGES, SHARE * len(pages)):
                repeated |= {lines[page] for page in others}
    return frozenset(repeated)


def _alike(numbers: Mapping[int, Sequence[int]]) -> list[int]:
    """The pages whose numbers are those of most pages, or as much more as the pages are further on."""
    pages = list(numbers)
    for place in range(len(numbers[pages[0]])):
        same = Counter(numbers[page][place] for page in pages).most_common(1)[0]
        counted = Counter(numbers[page][place] - page for page in pages).most_common(1)[0]
        if same[1] >= counted[1]:
            pages = [page for page in pages if numbers[page][place] == same[0]]
        else:
            pages = [page for page in pages if numbers[page][place] - page == counted[0]]
    return pages


def _edges(texts: Sequence[str], start: int, end: int) -> Iterator[int]:
    """The lines at the edges of a page that may run."""
    written = [line for line in range(start, end) if texts[line].strip()]
    for line in dict.fromkeys([*written[:_EDGE], *written[-_EDGE:]]):
        text = texts[line]
        wordy = len(text.split()) >= _MIN_WORDS or _DIGITS.search(text)
        if wordy and len(_CELL.findall(text)) <= _MAX_CELLS:
            yield line
