"""Pages of the documents that were read last, in memory: the same document again is not parsed or drawn again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from local_retab.documents.document import Document, Page
from local_retab.documents.reading import pages
from local_retab.settings import Settings

if TYPE_CHECKING:
    from PIL.Image import Image

Key: TypeAlias = "tuple[Document, int]"
"""A document, equal by its bytes and by all that decides what is read of it; and the dpi."""
_BYTES_PER_DOCUMENT = 4096
_BYTES_PER_PAGE = 2048
"""The objects around the data, rounded up: many small documents are bounded too."""
_BYTES_PER_CHARACTER = 4
_BYTES_PER_WORD = 400
"""A word box or an anchor: the objects, their text and numbers."""


@dataclass(slots=True, eq=False)
class _Entry:
    """What is kept of one document at one dpi. ``whole``: all its pages were read."""

    size: int = 0
    pages: list[Page] = field(default_factory=list)
    images: dict[int, Image] = field(default_factory=dict)
    whole: bool = False


class KeptPages:
    """Reads documents as ``documents.pages`` does, under one Settings; keeps their pages in about ``limit`` bytes.

    The least recently used documents go first. Any thread may call it.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._size = 0

    def pages(self, document: Document, *, dpi: int, settings: Settings) -> Generator[Page, None, None]:
        """The pages, from memory where they still are; their ``render`` keeps what it draws. Raises as ``pages``."""
        key = document, dpi
        known = self._known(key)
        if known is not None:
            yield from known.pages
            return
        entry = self._begin(key)
        with closing(pages(document, dpi=dpi, settings=settings)) as found:
            try:
                for page in found:
                    kept = replace(page, draw=partial(self._draw, key, entry.images, page))
                    if not self._grow(key, entry.images, _size(page)):
                        self._drop(key, entry)
                    entry.pages.append(kept)
                    yield kept
                entry.whole = True
            finally:
                if not entry.whole:
                    self._drop(key, entry)

    def forget(self, document_id: str) -> None:
        """Drop what is kept of a document that was deleted; what reads it now keeps nothing more of it."""
        with self._lock:
            found = [(key, entry) for key, entry in self._entries.items() if key[0].id == document_id]
        for key, entry in found:
            self._drop(key, entry)

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._entries.clear()
            self._size = 0

    def _known(self, key: Key) -> _Entry | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or not entry.whole:
                return None
            self._entries.move_to_end(key)
            return entry

    def _begin(self, key: Key) -> _Entry:
        """A new entry, in place of one that is being read."""
        entry = _Entry()
        with self._lock:
            self._size -= self._entries[key].size if key in self._entries else 0
            self._entries[key] = entry
        if not self._grow(key, entry.images, _BYTES_PER_DOCUMENT + len(key[0].data)):
            self._drop(key, entry)
        return entry

    def _draw(self, key: Key, images: dict[int, Image], page: Page) -> Image:
        """A copy: whoever asks for a page may write on it. ``images`` are those of the page's entry.

        Not the entry itself: with its pages it would be a cycle, and stay in memory after it was dropped.
        """
        image = images.get(page.number)
        if image is None:
            image = page.render()
            if self._grow(key, images, 3 * image.width * image.height):
                images[page.number] = image
        return image.copy()

    def _grow(self, key: Key, images: dict[int, Image], size: int) -> bool:
        """Make room for more of the entry with ``images``. False when there is none, or the entry was dropped."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.images is not images or entry.size + size > self._limit:
                return False
            entry.size += size
            self._size += size
            self._entries.move_to_end(key)
            while self._size > self._limit:
                self._size -= self._entries.popitem(last=False)[1].size
            return True

    def _drop(self, key: Key, entry: _Entry) -> None:
        with self._lock:
            if self._entries.get(key) is entry:
                del self._entries[key]
                self._size -= entry.size


def _size(page: Page) -> int:
    places = len(page.words) + len(page.anchors)
    return _BYTES_PER_PAGE + _BYTES_PER_CHARACTER * len(page.text) + _BYTES_PER_WORD * places
