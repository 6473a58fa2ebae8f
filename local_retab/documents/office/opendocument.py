"""OpenDocument text and slides (odt, odp): paragraphs, lists and tables of content.xml, by lxml.

The libraries for the format resolve entities, and unroll rows and cells that say how often they repeat.
"""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from local_retab.documents.clock import ReadingClock
from local_retab.documents.document import Document
from local_retab.documents.office.archive import checked_archive, parse_part
from local_retab.documents.office.page import PageText
from local_retab.errors import CorruptDocumentError
from local_retab.settings import Settings

_NAMESPACE = "{urn:oasis:names:tc:opendocument:xmlns:%s:1.0}"
_TEXT, _TABLE, _DRAW, _OFFICE, _STYLE, _PRESENTATION = (
    _NAMESPACE % name for name in ("text", "table", "drawing", "office", "style", "presentation")
)
_LEFT_OUT = {
    _TEXT + "tracked-changes", _OFFICE + "annotation", _OFFICE + "forms", _OFFICE + "event-listeners",
    _OFFICE + "scripts", _TEXT + "sequence-decls", _TABLE + "covered-table-cell",
}  # fmt: skip
_MAX_REPEATED = 100
_BREAK = _TEXT + "soft-page-break"


def read(document: Document, settings: Settings, clock: ReadingClock) -> Iterator[PageText]:
    """A page for each slide, or for each page of a text whose writer noted where they end, else one."""
    with checked_archive(document, settings) as archive:
        content = parse_part(archive, "content.xml")
        styles = parse_part(archive, "styles.xml")
    body = None if content is None else content.find(f"{_OFFICE}body")
    if body is None:
        raise CorruptDocumentError(f"{document.filename!r} has no content. Open it in its program and save it again.")
    slides = list(body.iter(_DRAW + "page"))
    if slides:
        for slide in slides:
            clock.check()
            page = PageText()
            _write_block(page, slide)
            yield page
        return
    page = PageText()
    _write_furniture(page, styles, "header")
    for element in body:
        for child in element:
            if page.text and child.tag == _BREAK:
                yield page
                page = PageText()
            _write_block(page, child)
            clock.check()
    _write_furniture(page, styles, "footer")
    yield page


def _write_furniture(page: PageText, styles: etree._Element | None, which: str) -> None:
    """Each header or footer of the master pages once."""
    written = set()
    for element in () if styles is None else styles.iter(_STYLE + which):
        part = PageText()
        _write_block(part, element)
        if part.text.strip() and part.text not in written:
            written.add(part.text)
            page.write(part.text)


def _write_block(page: PageText, element: etree._Element) -> None:
    if element.tag in (_TEXT + "p", _TEXT + "h"):
        page.write(_inline(element).strip("\n") + "\n")
        _write_floating(page, element)
    elif element.tag == _TABLE + "table":
        for row in _rows(element):
            page.write_row([(_cell(cell), None) for cell in row if cell.tag == _TABLE + "table-cell"])
    elif isinstance(element.tag, str) and element.tag not in _LEFT_OUT:
        if element.tag == _PRESENTATION + "notes" and "".join(element.itertext()).strip():
            page.write("\nNotes:\n")
        for child in element:
            _write_block(page, child)


def _write_floating(page: PageText, element: etree._Element) -> None:
    """The text boxes that are anchored in a paragraph, outermost ones only: what is in them is written with them."""
    for child in element:
        if child.tag == _DRAW + "text-box":
            for block in child:
                _write_block(page, block)
        else:
            _write_floating(page, child)


def _rows(table: etree._Element) -> Iterator[etree._Element]:
    for child in table:
        if child.tag == _TABLE + "table-row":
            yield child
        elif child.tag in (_TABLE + "table-header-rows", _TABLE + "table-row-group", _TABLE + "table-rows"):
            yield from _rows(child)


def _cell(cell: etree._Element) -> str:
    return " ".join(_inline(paragraph) for paragraph in cell.iter(_TEXT + "p", _TEXT + "h"))


def _inline(element: etree._Element) -> str:
    """The text of a paragraph; what floats over it, and notes to the writer, are not part of it."""
    parts = [element.text or ""]
    for child in element:
        match child.tag:
            case etree.Comment | etree.ProcessingInstruction:
                pass
            case tag if tag == _TEXT + "s":
                parts.append(" " * min(int(child.get(_TEXT + "c", "1")), _MAX_REPEATED))
            case tag if tag == _TEXT + "tab":
                parts.append("\t")
            case tag if tag == _TEXT + "line-break":
                parts.append("\n")
            case tag if tag in _LEFT_OUT or str(tag).startswith(_DRAW):
                pass
            case _:
                parts.append(_inline(child))
        parts.append(child.tail or "")
    return "".join(parts)
