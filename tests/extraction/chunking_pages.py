"""Pages and lines for tests of documents that are read in parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from local_retab.documents import Page
from local_retab.extraction.chunking.lines import DocumentLines
from local_retab.extraction.chunking.merging import Part


def page(number: int, text: str) -> Page:
    def draw() -> Any:
        raise AssertionError("no page is drawn")

    return Page(number, 595.0, 842.0, (), text, draw)


def lines_of(*texts: str) -> DocumentLines:
    """A document with these pages."""
    return DocumentLines([page(number, text) for number, text in enumerate(texts, start=1)])


def part(value: Any, lines: Sequence[int], likelihood: float = 1.0, **fields: Any) -> Part:
    """What a part gave, every leaf equally likely."""
    return Part(value, _tree(value, likelihood), lines, **fields)


def _tree(value: Any, likelihood: float) -> Any:
    if isinstance(value, dict):
        return {key: _tree(item, likelihood) for key, item in value.items()}
    if isinstance(value, list):
        return [_tree(item, likelihood) for item in value]
    return likelihood
