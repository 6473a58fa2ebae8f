"""PDF pages: text layer, form values and pixels. This module owns PDFium, which is not thread safe, and its lock."""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from local_retab.documents.clock import ReadingClock
from local_retab.documents.document import Document, Page, Rectangle, nothing_selected
from local_retab.documents.layout import WordBox, lay_out
from local_retab.documents.words import WordGrouper, words_in_rectangle
from local_retab.errors import (
    CorruptDocumentError,
    DocumentLimitError,
    EmptyDocumentError,
    EncryptedDocumentError,
)
from local_retab.settings import Settings

if TYPE_CHECKING:
    from PIL.Image import Image

# Reentrant: the collector may close an abandoned iteration while this thread is inside another document.
_PDFIUM = threading.RLock()
_POINTS_PER_INCH = 72
_CHARACTERS_PER_CHECK = 2000
_MAX_FORM_DEPTH = 3
_MAX_OBJECTS = 1000
"""Objects of a page or form that are looked at for pictures; scans have one, or a few strips."""


def page_count(document: Document, settings: Settings) -> int:
    """The number of pages. Raises as ``pages`` does on opening."""
    with _PDFIUM, _open(document, settings) as pdf:
        return _page_count(pdf, document, settings)


def pages(document: Document, *, dpi: int, settings: Settings, clock: ReadingClock) -> Generator[Page, None, None]:
    """The pages in order, each read when it is asked for; closing the iterator closes the file.

    Raises EncryptedDocumentError, CorruptDocumentError (the file, or one page of it), EmptyDocumentError for no
    pages, and DocumentLimitError for pages, characters or seconds.
    """
    with _handle(_open(document, settings)) as pdf:
        with _PDFIUM, clock.running():
            count = _page_count(pdf, document, settings)
        characters_left = settings.max_text_chars
        for index in range(count):
            if not document.wants(index + 1):
                continue
            with _PDFIUM, clock.running(), _page(pdf, document, index) as page:
                width, height = page.get_size()
                words = _words(page, document, index, characters_left, settings, clock)
                characters_left -= sum(len(word.text) for word in words)
                if characters_left < 0:
                    raise _too_much_text(document, index, settings)
                text = lay_out(words, width, height)
                pictures = _pictures(page)
            drawn = partial(draw, document, index + 1, dpi=dpi, settings=settings, clock=clock)
            yield Page(index + 1, width, height, words, text, drawn, pictures=pictures)


@contextmanager
def _handle(opened: Any) -> Iterator[Any]:
    """Holds a context over suspensions: the lock is taken to enter and to leave it, not in between."""
    with _PDFIUM:
        entered = opened.__enter__()
    try:
        yield entered
    finally:
        with _PDFIUM:
            opened.__exit__(None, None, None)


@contextmanager
def _open(document: Document, settings: Settings) -> Iterator[Any]:
    """The PDF with its form environment, so that fields are drawn. Scripts and actions are never run."""
    import pypdfium2
    import pypdfium2.raw as pdfium

    secret = settings.document_password
    password = None if secret is None else secret.get_secret_value().encode()
    raw = pdfium.FPDF_LoadMemDocument64(document.data, len(document.data), password)
    if not raw:
        raise _opening_error(document, pdfium.FPDF_GetLastError(), with_password=secret is not None)
    with closing(pypdfium2.PdfDocument(raw)) as pdf:
        if pdf.get_formtype() != pdfium.FORMTYPE_NONE:
            # Not init_forms, which writes a line to the log for each XFA form.
            configuration = pdfium.FPDF_FORMFILLINFO(version=2)
            if environment := pdfium.FPDFDOC_InitFormFillEnvironment(pdf, configuration):
                pdf.formenv = pypdfium2.PdfFormEnv(environment, configuration)
        yield pdf


def _opening_error(
    document: Document, code: int, *, with_password: bool
) -> EncryptedDocumentError | CorruptDocumentError:
    import pypdfium2.raw as pdfium

    if code == pdfium.FPDF_ERR_PASSWORD:
        which = "the password that is set does not open it" if with_password else "no password is set"
        return EncryptedDocumentError(
            f"{document.filename!r} is protected by a password, and {which}. Set LOCAL_RETAB_DOCUMENT_PASSWORD, or"
            " save a copy without protection and send that."
        )
    if code == pdfium.FPDF_ERR_SECURITY:
        return EncryptedDocumentError(
            f"{document.filename!r} is protected by an encryption that cannot be opened. Save a copy without"
            " protection and send that."
        )
    return CorruptDocumentError(
        f"{document.filename!r} cannot be opened as a PDF: it is damaged or truncated. Export or download it again."
    )


def _page_count(pdf: Any, document: Document, settings: Settings) -> int:
    count = len(pdf)
    if count < 1:
        raise EmptyDocumentError(f"{document.filename!r} has no pages. Export or download it again.")
    selected = count if document.selection is None else sum(map(document.wants, range(1, count + 1)))
    if not selected:
        raise nothing_selected(document, count)
    if selected > settings.max_pages:
        raise DocumentLimitError(
            f"{document.filename!r} has {selected:,} pages, over the limit of {settings.max_pages:,}. Split it, select"
            " some of its pages, or raise LOCAL_RETAB_MAX_PAGES."
        )
    return count


@contextmanager
def _page(pdf: Any, document: Document, index: int) -> Iterator[Any]:
    import pypdfium2

    try:
        page = pdf[index]
    except pypdfium2.PdfiumError as error:
        raise _broken_page(document, index) from error
    with closing(page):
        yield page


def _broken_page(document: Document, index: int) -> CorruptDocumentError:
    return CorruptDocumentError(
        f"Page {index + 1} of {document.filename!r} is damaged and cannot be read. Export or download the file"
        " again, or remove the page."
    )


def _words(
    page: Any, document: Document, index: int, characters_left: int, settings: Settings, clock: ReadingClock
) -> tuple[WordBox, ...]:
    import pypdfium2
    import pypdfium2.raw as pdfium

    try:
        to_display = _displayed(page)
        text_page = page.get_textpage()
    except pypdfium2.PdfiumError as error:
        raise _broken_page(document, index) from error
    width, height = page.get_size()
    grouper = WordGrouper(width, height)
    # Raw calls with one rectangle for all: a page has thousands of characters.
    box = pdfium.FS_RECTF()
    with closing(text_page):
        count = text_page.count_chars()
        if count > characters_left:
            raise _too_much_text(document, index, settings)
        for at in range(count):
            if at % _CHARACTERS_PER_CHECK == 0:
                clock.check()
            if pdfium.FPDFText_GetLooseCharBox(text_page, at, box):
                code = pdfium.FPDFText_GetUnicode(text_page, at)
                grouper.add(code, *to_display(box.left, box.bottom, box.right, box.top))
    return (*grouper.words(), *_annotation_words(page, to_display, clock))


def _too_much_text(document: Document, index: int, settings: Settings) -> DocumentLimitError:
    return DocumentLimitError(
        f"{document.filename!r} has more than {settings.max_text_chars:,} characters of text on its first"
        f" {index + 1} pages. Split it, or raise LOCAL_RETAB_MAX_TEXT_CHARS."
    )


def _displayed(page: Any) -> Callable[[float, float, float, float], Rectangle]:
    """The map of a box (left, bottom, right, top) of the page's own space to the page as displayed.

    The page's space has its origin where the file wants, counts upwards, and is turned clockwise by /Rotate; the
    displayed page is the intersection of media and crop box, with its origin at the top left (PDF 1.7, 8.3, 14.11).
    """
    left, bottom, right, top = page.get_bbox()
    match page.get_rotation():
        case 90:
            return lambda x0, y0, x1, y1: (y0 - bottom, x0 - left, y1 - bottom, x1 - left)
        case 180:
            return lambda x0, y0, x1, y1: (right - x1, y0 - bottom, right - x0, y1 - bottom)
        case 270:
            return lambda x0, y0, x1, y1: (top - y1, right - x1, top - y0, right - x0)
        case _:
            return lambda x0, y0, x1, y1: (x0 - left, top - y1, x1 - left, top - y0)


def _pictures(page: Any) -> tuple[Rectangle, ...]:
    """The boxes of raster images, and of forms that hold one, within the page as displayed."""
    import pypdfium2.raw as pdfium

    to_display = _displayed(page)
    width, height = page.get_size()
    edges = [ctypes.c_float() for _ in range(4)]
    found: list[Rectangle] = []
    for index in range(min(pdfium.FPDFPage_CountObjects(page), _MAX_OBJECTS)):
        item = pdfium.FPDFPage_GetObject(page, index)
        if _is_picture(item) and pdfium.FPDFPageObj_GetBounds(item, *edges):
            left, top, right, bottom = to_display(*(edge.value for edge in edges))
            box = (max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height))
            if box[0] < box[2] and box[1] < box[3]:
                found.append(box)
    return tuple(found)


def _is_picture(item: Any) -> bool:
    import pypdfium2.raw as pdfium

    leaves = islice(_leaves(item, _MAX_FORM_DEPTH), _MAX_OBJECTS)
    return any(pdfium.FPDFPageObj_GetType(leaf) == pdfium.FPDF_PAGEOBJ_IMAGE for leaf in leaves)


def _leaves(item: Any, depth: int) -> Iterator[Any]:
    import pypdfium2.raw as pdfium

    if depth and pdfium.FPDFPageObj_GetType(item) == pdfium.FPDF_PAGEOBJ_FORM:
        for index in range(min(pdfium.FPDFFormObj_CountObjects(item), _MAX_OBJECTS)):
            yield from _leaves(pdfium.FPDFFormObj_GetObject(item, index), depth - 1)
    else:
        yield item


def _annotation_words(
    page: Any, to_display: Callable[[float, float, float, float], Rectangle], clock: ReadingClock
) -> Iterator[WordBox]:
    """The words of filled form fields and of text notes, which the text layer does not hold."""
    import pypdfium2.raw as pdfium

    hidden = pdfium.FPDF_ANNOT_FLAG_HIDDEN | pdfium.FPDF_ANNOT_FLAG_NOVIEW
    box = pdfium.FS_RECTF()
    width, height = page.get_size()
    for index in range(pdfium.FPDFPage_GetAnnotCount(page)):
        clock.check()
        annotation = pdfium.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        try:
            if not pdfium.FPDFAnnot_GetFlags(annotation) & hidden and pdfium.FPDFAnnot_GetRect(annotation, box):
                left, top, right, bottom = to_display(box.left, box.bottom, box.right, box.top)
                on_page = (max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height))
                if on_page[0] < on_page[2] and on_page[1] < on_page[3]:
                    yield from words_in_rectangle(_annotation_text(annotation, page.formenv), *on_page)
        finally:
            pdfium.FPDFPage_CloseAnnot(annotation)


def _annotation_text(annotation: Any, form: Any) -> str:
    import pypdfium2.raw as pdfium

    kind = pdfium.FPDFAnnot_GetSubtype(annotation)
    if kind == pdfium.FPDF_ANNOT_FREETEXT:
        return _wide_string(lambda *at: pdfium.FPDFAnnot_GetStringValue(annotation, b"Contents", *at))
    if kind != pdfium.FPDF_ANNOT_WIDGET or not form:
        return ""
    match pdfium.FPDFAnnot_GetFormFieldType(form, annotation):
        case pdfium.FPDF_FORMFIELD_CHECKBOX | pdfium.FPDF_FORMFIELD_RADIOBUTTON:
            return "☒" if pdfium.FPDFAnnot_IsChecked(form, annotation) else "☐"
        case pdfium.FPDF_FORMFIELD_TEXTFIELD:
            if pdfium.FPDFAnnot_GetFormFieldFlags(form, annotation) & pdfium.FPDF_FORMFLAG_TEXT_PASSWORD:
                return ""
        case pdfium.FPDF_FORMFIELD_COMBOBOX | pdfium.FPDF_FORMFIELD_LISTBOX:
            pass
        case _:
            return ""
    return _wide_string(lambda *at: pdfium.FPDFAnnot_GetFormFieldValue(form, annotation, *at))


def _wide_string(fetch: Callable[[Any, int], int]) -> str:
    """A UTF-16 string of PDFium, whose getters give the size in bytes, the final NUL included."""
    import pypdfium2.raw as pdfium

    size = fetch(None, 0)
    buffer = (pdfium.FPDF_WCHAR * (size // 2))()
    fetch(buffer, size)
    return bytes(buffer).decode("utf-16-le", errors="ignore").rstrip("\x00")


def draw(document: Document, number: int, *, dpi: int, settings: Settings, clock: ReadingClock) -> Image:
    """Page ``number``, from 1, in pixels. Opens the file anew (well under a millisecond), whatever was read before."""
    with _PDFIUM, clock.running(), _open(document, settings) as pdf, _page(pdf, document, number - 1) as page:
        return _rendered(page, document, number - 1, dpi, settings, clock)


def _rendered(page: Any, document: Document, index: int, dpi: int, settings: Settings, clock: ReadingClock) -> Image:
    import pypdfium2
    import pypdfium2.raw as pdfium

    scale = dpi / _POINTS_PER_INCH
    wide, high = page.get_width() * scale, page.get_height() * scale
    if not wide * high <= settings.max_page_pixels:
        raise DocumentLimitError(
            f"Page {index + 1} of {document.filename!r} is {wide:,.0f} x {high:,.0f} pixels at {dpi} dpi, over the"
            f" limit of {settings.max_page_pixels:,} pixels. Lower image_resolution_dpi, or raise"
            " LOCAL_RETAB_MAX_PAGE_PIXELS."
        )
    columns, rows = max(math.ceil(wide), 1), max(math.ceil(high), 1)
    pause = pdfium.IFSDK_PAUSE(version=1)
    pause.NeedToPauseNow = type(pause.NeedToPauseNow)(lambda _: clock.expired())
    flags = pdfium.FPDF_ANNOT | pdfium.FPDF_REVERSE_BYTE_ORDER
    with closing(pypdfium2.PdfBitmap.new_native(columns, rows, pdfium.FPDFBitmap_BGR, rev_byteorder=True)) as bitmap:
        bitmap.fill_rect((255, 255, 255, 255), 0, 0, columns, rows)
        placed = (bitmap, page, 0, 0, columns, rows, 0, flags)
        status = pdfium.FPDF_RenderPageBitmap_Start(*placed, ctypes.byref(pause))
        pdfium.FPDF_RenderPage_Close(page)
        clock.check()
        if status != pdfium.FPDF_RENDER_DONE:
            raise _broken_page(document, index)
        if page.formenv:
            pdfium.FPDF_FFLDraw(page.formenv, *placed)
        image: Image = bitmap.to_pil()
    return image
