"""Pages that are kept: nothing is read or drawn twice, nothing is kept beyond the limit or a deletion."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Generator
from dataclasses import replace

import pytest
from PIL import Image

from local_retab.documents import Document, KeptPages, Page, PageSelection, WordBox, kept
from local_retab.errors import CorruptDocumentError
from local_retab.settings import Settings

SETTINGS = Settings()
SIDE = 100
PIXELS = 3 * SIDE * SIDE


def document(name: str = "a") -> Document:
    return Document(f"file_{name}", f"{name}.png", "image/png", "image", name.encode())


class Readers:
    """In place of the readers: what was read, and which pages were drawn."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.drawn: list[str] = []
        self.count = 1
        self.words = 0
        self.broken = False
        self.images: list[weakref.ref[Image.Image]] = []

    def pages(self, document: Document, *, dpi: int, settings: Settings) -> Generator[Page, None, None]:
        self.read.append(f"{document.id} {dpi}")
        for number in range(1, self.count + 1):
            words = (WordBox("word", 0, 0, 1, 1),) * self.words

            def draw(number: int = number) -> Image.Image:
                self.drawn.append(f"{document.id} {number}")
                image = Image.new("RGB", (SIDE, SIDE), "white")
                self.images.append(weakref.ref(image))
                return image

            yield Page(number, SIDE, SIDE, words, f"page {number}", draw)
            if self.broken:
                raise CorruptDocumentError("it ends here")


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> Readers:
    readers = Readers()
    monkeypatch.setattr(kept, "pages", readers.pages)
    return readers


def read(pages: KeptPages, document: Document, dpi: int = 96) -> list[Page]:
    return list(pages.pages(document, dpi=dpi, settings=SETTINGS))


def look(pages: KeptPages, document: Document) -> list[Image.Image]:
    return [page.render() for page in read(pages, document)]


def test_the_second_time_nothing_is_read_or_drawn(readers: Readers) -> None:
    readers.count, pages = 2, KeptPages(1 << 20)
    first = read(pages, document())
    assert [page.render().size for page in first] == [(SIDE, SIDE)] * 2
    assert read(pages, document()) == first
    look(pages, document())
    assert (readers.read, readers.drawn) == (["file_a 96"], ["file_a 1", "file_a 2"])


def test_what_decides_the_pages_is_told_apart(readers: Readers) -> None:
    pages = KeptPages(1 << 20)
    part = PageSelection.parse("1")
    for other in (document(), document("b"), replace(document(), data=b"x"), replace(document(), selection=part)):
        read(pages, other)
    read(pages, document(), dpi=72)
    assert len(readers.read) == 5


def test_a_page_may_be_written_on(readers: Readers) -> None:
    pages = KeptPages(1 << 20)
    (page,) = read(pages, document())
    for _ in range(2):
        image = page.render()
        assert image.getpixel((0, 0)) == (255, 255, 255)
        image.putpixel((0, 0), (0, 0, 0))
    assert len(readers.drawn) == 1


def test_the_least_recently_used_document_goes(readers: Readers) -> None:
    pages = KeptPages(2 * PIXELS + 20_000)
    for name in ("a", "b", "a", "c", "a", "b"):
        look(pages, document(name))
    assert readers.read == ["file_a 96", "file_b 96", "file_c 96", "file_b 96"]


def test_pixels_beyond_the_limit_are_drawn_again(readers: Readers) -> None:
    readers.count, pages = 3, KeptPages(2 * PIXELS + 20_000)
    look(pages, document())
    look(pages, document())
    assert len(readers.read) == 1
    assert readers.drawn == ["file_a 1", "file_a 2", "file_a 3", "file_a 3"]


@pytest.mark.parametrize(("limit", "words"), [(0, 0), (5000, 0), (20_000, 100)])
def test_what_is_larger_than_the_limit_is_not_kept(readers: Readers, limit: int, words: int) -> None:
    readers.words, pages = words, KeptPages(limit)
    look(pages, document())
    look(pages, document())
    assert (len(readers.read), len(readers.drawn)) == (2, 2)


def test_a_document_that_breaks_off_or_is_left_is_read_again(readers: Readers) -> None:
    pages = KeptPages(1 << 20)
    readers.broken = True
    for _ in range(2):
        with pytest.raises(CorruptDocumentError):
            read(pages, document())
    readers.broken, readers.count = False, 2
    left = pages.pages(document(), dpi=96, settings=SETTINGS)
    next(left)
    left.close()
    assert len(read(pages, document())) == 2
    assert len(readers.read) == 4


def test_what_is_forgotten_is_gone(readers: Readers) -> None:
    pages = KeptPages(1 << 20)
    look(pages, document())
    look(pages, document("b"))
    gc.disable()
    try:
        pages.forget("file_a")
        assert [image() is None for image in readers.images] == [True, False]
        pages.clear()
        assert readers.images[1]() is None
    finally:
        gc.enable()
    read(pages, document())
    assert readers.read == ["file_a 96", "file_b 96", "file_a 96"]


def test_what_is_forgotten_while_it_is_read_is_not_kept(readers: Readers) -> None:
    readers.count, pages = 2, KeptPages(1 << 20)
    reading = pages.pages(document(), dpi=96, settings=SETTINGS)
    first = next(reading)
    pages.forget("file_a")
    (second,) = reading
    assert (first.render().size, second.render().size) == ((SIDE, SIDE), (SIDE, SIDE))
    assert all(image() is None for image in readers.images)
    read(pages, document())
    assert len(readers.read) == 2


def test_two_that_read_the_same_document_at_once_count_it_once(readers: Readers) -> None:
    pages = KeptPages(PIXELS + 10_000)
    one, other = (pages.pages(document(), dpi=96, settings=SETTINGS) for _ in range(2))
    next(one)
    (page,) = other
    page.render()
    assert list(one) == []
    look(pages, document())
    assert (len(readers.read), len(readers.drawn)) == (2, 1)
