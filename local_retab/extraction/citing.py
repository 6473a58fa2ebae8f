"""``cited`` sources: the model quotes lines of the document before each value, held to lines that are there.

A quotation cannot be invented: the grammar has the document's lines and nothing else. What is quoted is searched for
the value; where the value is not in it, the lines themselves are the source, a supporting one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from local_retab.extraction.declared import Declared
from local_retab.extraction.matching import EXACT, Finder
from local_retab.extraction.sources import Located
from local_retab.extraction.spots import PageWords, Span

if TYPE_CHECKING:
    from pydantic import JsonValue

    from local_retab.documents import Page


class Lines:
    """The lines of a document that may be quoted, and where each stands."""

    def __init__(self, pages: Sequence[Page]) -> None:
        self._pages = {page.number: page for page in map(PageWords.of, pages)}
        self._places: dict[str, list[Span]] = {}
        for page in self._pages.values():
            for row in page.rows:
                self._places.setdefault(page.text(row), []).append(Span(page.number, tuple(row)))

    @property
    def texts(self) -> list[str]:
        """Each different line once, in reading order."""
        return list(self._places)

    def locate(self, output: JsonValue, answer: JsonValue, prefix: str, schema: dict[str, Any] | None) -> list[Located]:
        """The source of every leaf of ``output``. ``answer`` is what the model wrote, with the quotes of a property
        under its name after ``prefix``."""
        return [
            self._cited(path, value, quotes, declared)
            for path, value, quotes, declared in _leaves(output, answer, prefix, (), [], Declared.root(schema))
        ]

    def _cited(
        self, path: tuple[str | int, ...], value: JsonValue, quotes: Sequence[str], declared: Declared
    ) -> Located:
        spans = self._spans(quotes) if value is not None and not isinstance(value, list | dict) else []
        if not spans:
            return Located(path, value, "missing")
        page = self._pages[spans[0].page]
        words = [index for span in spans if span.page == page.number for index in span.words]
        part = PageWords(page.number, page.width, page.height, [page.words[index] for index in words])
        found = Finder([part]).find(value, is_date=declared.is_date)
        if found:
            inside = [words[index] for index in found[0].span.words]
            status: Any = "matched" if found[0].exactness == EXACT else "partial"
            return Located(path, value, status, page.number, page.box(inside), page.text(inside), tuple(inside))
        return Located(
            path, value, "partial", page.number, page.box(words), page.text(words), tuple(words), is_answer=False
        )

    def _spans(self, quotes: Sequence[str]) -> list[Span]:
        """The quoted lines, of equal ones those nearest to the first."""
        spans: list[Span] = []
        for quote in dict.fromkeys(quotes):
            places = self._places.get(quote, [])
            if places and spans:
                first = spans[0]
                row = self._pages[first.page].row_of[first.words[0]]
                places = sorted(places, key=lambda span: self._distance(span, first.page, row))
            spans += places[:1]
        return spans

    def _distance(self, span: Span, page: int, row: int) -> tuple[int, int]:
        return abs(span.page - page), abs(self._pages[span.page].row_of[span.words[0]] - row)


def _leaves(
    output: JsonValue,
    answer: JsonValue,
    prefix: str,
    path: tuple[str | int, ...],
    quotes: list[str],
    declared: Declared,
) -> Iterator[tuple[tuple[str | int, ...], JsonValue, list[str], Declared]]:
    """Each leaf of the output with what was quoted for it, none where the answer has another value there."""
    if isinstance(output, dict) and output:
        written = answer if isinstance(answer, dict) else {}
        for key, item in output.items():
            cited = written.get(prefix + key)
            own = [text for text in cited if isinstance(text, str)] if isinstance(cited, list) else []
            yield from _leaves(item, written.get(key), prefix, (*path, key), own, declared.child(key))
    elif isinstance(output, list) and output:
        items = answer if isinstance(answer, list) else []
        for index, item in enumerate(output):
            other = items[index] if index < len(items) else None
            yield from _leaves(item, other, prefix, (*path, index), quotes, declared.child(index))
    else:
        yield path, output, quotes if output == answer else [], declared
