"""Pages whose text cannot be used, read from their pixels."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from local_retab.documents import ocr
from local_retab.documents.layout import lay_out
from local_retab.documents.lines import place_lines
from local_retab.documents.text_layer import TextLayer, judge, outside
from local_retab.errors import DocumentLimitError

if TYPE_CHECKING:
    from PIL.Image import Image

    from local_retab.documents.document import Document, Page
    from local_retab.settings import Settings


class Recognition:
    """Reads pages of one document by OCR where Settings ``ocr`` and their text layer ask for it.

    ``required``: whether a page may not stay without text for want of an OCR engine.
    """

    def __init__(self, document: Document, settings: Settings, *, required: bool) -> None:
        self._document = document
        self._settings = settings
        self._required = required
        self._seconds = 0.0

    def read(self, page: Page) -> Page:
        """The page with the words that are on it; as it was where its text layer is good, or the page is blank.

        Raises NoTextError where OCR is needed and not installed, DocumentLimitError over ``max_ocr_seconds``, and
        what drawing the page raises.
        """
        mode = self._settings.ocr
        worth = self._worth(page)
        if mode == "never" or worth is TextLayer.USABLE:
            return page
        if not (ocr.is_installed() or (self._required and worth is TextLayer.UNUSABLE)):
            return page
        image = page.render()
        if is_blank(image):
            return page
        return self._read(page, image, worth)

    def _worth(self, page: Page) -> TextLayer:
        if not page.width:  # nothing to draw
            return TextLayer.USABLE
        if self._document.kind == "image" or self._settings.ocr == "always":
            return TextLayer.UNUSABLE
        return judge(page)

    def _read(self, page: Page, image: Image, worth: TextLayer) -> Page:
        started = time.monotonic()
        lines = ocr.read_lines(image, filename=self._document.filename, settings=self._settings)
        self._seconds += time.monotonic() - started
        if self._seconds > self._settings.max_ocr_seconds:
            raise DocumentLimitError(
                f"{self._document.filename!r}: reading its pages by OCR took more than "
                f"{self._settings.max_ocr_seconds:g} seconds, up to page {page.number}. Send fewer pages, or raise "
                "LOCAL_RETAB_MAX_OCR_SECONDS."
            )
        words, text = place_lines(lines, image.width, image.height, page.width / image.width)
        if worth is TextLayer.PARTIAL:
            words = (*page.words, *outside(words, page.words))
            text = lay_out(words, page.width, page.height)
        return replace(page, words=words, text=text, read=True)


def is_blank(image: Image) -> bool:
    """Whether an image is of one colour, within the noise of a scanner's white."""
    darkest, lightest = cast("tuple[int, int]", image.convert("L").getextrema())
    return lightest - darkest < 16
