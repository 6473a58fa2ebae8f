"""Word (docx): the body's paragraphs and tables in order, with headers, footers, text boxes and notes.

python-docx opens the package. The text is gathered here: python-docx leaves out content controls, inserted text and
text boxes, which is what forms are made of.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import docx
from docx.opc.constants import RELATIONSHIP_TYPE
from lxml import etree

from local_retab.documents.anchors import DocxParagraph, DocxTableCell, Place
from local_retab.documents.clock import ReadingClock
from local_retab.documents.document import Document
from local_retab.documents.office.archive import checked_archive, transitional
from local_retab.documents.office.page import PageText
from local_retab.settings import Settings

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_TEXT_BOX = _W + "txbxContent"
# Deleted and moved-away text, field codes, and what only looks like content.
_LEFT_OUT = {
    _W + "del", _W + "moveFrom", _W + "instrText", _W + "delText", _W + "pPr", _W + "rPr", _W + "sdtPr",
    _W + "rubyBase", _W + "sectPr", _W + "tblPr", _W + "tcPr", _W + "trPr", _FALLBACK, _TEXT_BOX,
}  # fmt: skip
_CHARACTERS = {_W + "tab": "\t", _W + "br": "\n", _W + "cr": "\n", _W + "noBreakHyphen": "-", _W + "ptab": "\t"}
_MAX_LINES_IN_ROW = 3
"""A table with longer cells lays out a page; its cells are written as blocks, and not as columns of a row."""
_MAX_SPAN = 63
"""Most columns of a table (Word's own limit)."""


def read(document: Document, settings: Settings, clock: ReadingClock) -> Iterator[PageText]:
    """A page for each page that the file notes: where its writer last broke pages, or where a break is set."""
    with checked_archive(document, settings) as archive:
        file = docx.Document(io.BytesIO(transitional(archive, document.data)))
    body = _Body(clock)
    body.write_furniture(file, "header")
    yield from body.pages(file.element.body)
    body.write_furniture(file, "footer")
    body.write_notes(file)
    yield body.page


class _Body:
    """The walk over a document's body: the page at hand, and how many paragraphs and tables came before."""

    def __init__(self, clock: ReadingClock) -> None:
        self.page = PageText()
        self._clock = clock
        self._paragraphs = 0
        self._tables = 0

    def pages(self, body: etree._Element) -> Iterator[PageText]:
        """The pages that are complete; what follows the last break stays in ``page``."""
        for block in _blocks(body):
            self._clock.check()
            before, after = _breaks(block)
            if before and len(self.page):
                yield self.page
                self.page = PageText()
            if block.tag == _W + "p":
                self._write_paragraph(block, DocxParagraph(self._paragraphs))
                self._paragraphs += 1
            else:
                self._write_table(block, self._tables)
                self._tables += 1
            if after:
                yield self.page
                self.page = PageText()

    def _write_paragraph(self, paragraph: etree._Element, place: Place | None) -> None:
        self.page.write(_text(paragraph), place)
        self.page.write("\n")
        for box in _text_boxes(paragraph):
            self._write_blocks(box)

    def _write_blocks(self, container: etree._Element) -> None:
        """Blocks without a place in the body: headers, notes, text boxes."""
        for block in _blocks(container):
            if block.tag == _W + "p":
                self._write_paragraph(block, None)
            else:
                self._write_table(block, None)

    def _write_table(self, table: etree._Element, number: int | None) -> None:
        for row_index, row in enumerate(_children(table, "tr")):
            cells: list[tuple[list[str], Place | None]] = []
            for cell in _children(row, "tc"):
                place = None if number is None else DocxTableCell(number, row_index, len(cells))
                cells.append((_cell_lines(cell), place))
                cells += [([], None)] * (min(_span(cell), _MAX_SPAN) - 1)
            if max((len(lines) for lines, _ in cells), default=0) <= _MAX_LINES_IN_ROW:
                self.page.write_row([(" ".join(lines), where) for lines, where in cells])
                continue
            for lines, where in cells:
                if lines:
                    self.page.write("\n".join(lines), where)
                    self.page.write("\n")

    def write_furniture(self, file: Any, which: str) -> None:
        """Each header or footer of the sections once."""
        written = set()
        for section in file.sections:
            for kind in (which, f"first_page_{which}", f"even_page_{which}"):
                part = getattr(section, kind)
                if part.is_linked_to_previous:
                    continue
                text = "".join(part._element.itertext())
                if text.strip() and text not in written:
                    written.add(text)
                    self._write_blocks(part._element)

    def write_notes(self, file: Any) -> None:
        """Footnotes and endnotes, after everything."""
        for kind in (RELATIONSHIP_TYPE.FOOTNOTES, RELATIONSHIP_TYPE.ENDNOTES):
            for relationship in file.part.rels.values():
                if relationship.reltype == kind and not relationship.is_external:
                    parser = etree.XMLParser(resolve_entities=False, no_network=True)
                    for note in etree.fromstring(relationship.target_part.blob, parser):
                        if note.get(_W + "type") is None:
                            self._write_blocks(note)


def _blocks(container: etree._Element) -> Iterator[etree._Element]:
    """Paragraphs and tables, those in content controls and insertions too."""
    for child in container:
        if child.tag in (_W + "p", _W + "tbl"):
            yield child
        elif isinstance(child.tag, str) and child.tag not in _LEFT_OUT:
            yield from _blocks(child)


def _children(element: etree._Element, name: str) -> Iterator[etree._Element]:
    """Rows of a table or cells of a row, those in content controls too."""
    for child in element:
        if child.tag == _W + name:
            yield child
        elif child.tag in (_W + "sdt", _W + "sdtContent", _W + "ins", _W + "customXml"):
            yield from _children(child, name)


def _span(cell: etree._Element) -> int:
    span = cell.find(f"{_W}tcPr/{_W}gridSpan")
    value = "" if span is None else span.get(_W + "val", "")
    return int(value) if value.isdecimal() else 1


def _cell_lines(cell: etree._Element) -> list[str]:
    """The cell's lines; a table in it gives a line for each of its rows."""
    lines: list[str] = []
    for block in _blocks(cell):
        if block.tag == _W + "p":
            lines += _text(block).splitlines()
            for box in _text_boxes(block):
                lines += _cell_lines(box)
        else:
            lines += [
                " | ".join(" ".join(_cell_lines(inner)) for inner in _children(row, "tc"))
                for row in _children(block, "tr")
            ]
    return [line for line in lines if line.strip()]


def _text(element: etree._Element) -> str:
    """The text of a paragraph as it stands with all changes accepted."""
    parts = []
    for child in element:
        tag = child.tag
        if tag == _W + "t":
            parts.append(child.text or "")
        elif tag == _W + "sym":
            parts.append("\N{BULLET}")
        elif tag in _CHARACTERS:
            parts.append(_CHARACTERS[tag])
        elif isinstance(tag, str) and tag not in _LEFT_OUT:
            parts.append(_text(child))
    return "".join(parts)


def _text_boxes(element: etree._Element) -> Iterator[etree._Element]:
    for child in element:
        if child.tag == _TEXT_BOX:
            yield child
        elif child.tag != _FALLBACK:
            yield from _text_boxes(child)


def _breaks(block: etree._Element) -> tuple[bool, bool]:
    """Whether a page ends before the block's text, and whether one ends in or after it."""
    before = after = False
    if block.tag != _W + "p":
        return before, after
    seen_text = False
    for element in block.iter(_W + "t", _W + "br", _W + "lastRenderedPageBreak", _W + "pageBreakBefore"):
        if element.tag == _W + "t":
            seen_text = seen_text or bool(element.text)
        elif element.tag == _W + "br" and element.get(_W + "type") != "page":
            continue
        elif seen_text:
            after = True
        else:
            before = True
    return before, after
