"""PowerPoint (pptx): a page for each slide, by python-pptx; shapes by their place, then tables, then the notes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from pptx import Presentation

from local_retab.documents.clock import ReadingClock
from local_retab.documents.document import Document
from local_retab.documents.office.archive import checked_archive, transitional
from local_retab.documents.office.page import PageText
from local_retab.settings import Settings

_MAX_GROUPS = 50


def read(document: Document, settings: Settings, clock: ReadingClock) -> Iterator[PageText]:
    """Hidden slides are left out as pages without text, so that numbers are those of the program."""
    with checked_archive(document, settings) as archive:
        presentation = Presentation(io.BytesIO(transitional(archive, document.data)))
    for slide in presentation.slides:
        clock.check()
        page = PageText()
        if slide.element.get("show") not in ("0", "false"):
            _write_shapes(page, slide.shapes, depth=0)
            if slide.has_notes_slide:
                notes = slide.notes_slide.notes_text_frame
                if notes is not None and notes.text.strip():
                    page.write(f"\nNotes: {notes.text}\n")
        yield page


def _write_shapes(page: PageText, shapes: Any, *, depth: int) -> None:
    for shape in sorted(shapes, key=_place):
        if shape.element.tag.endswith("}grpSp"):
            if depth < _MAX_GROUPS:
                _write_shapes(page, shape.shapes, depth=depth + 1)
        elif shape.has_text_frame:
            lines = [paragraph.text.replace("\v", "\n") for paragraph in shape.text_frame.paragraphs]
            if any(line.strip() for line in lines):
                page.write("\n".join(lines) + "\n")
        elif getattr(shape, "has_table", False):
            for row in shape.table.rows:
                page.write_row([(cell.text, None) for cell in row.cells])


def _place(shape: Any) -> tuple[int, int]:
    """From top to bottom and left to right; a placeholder without a place of its own, as titles are, comes first."""
    return (shape.top or 0, shape.left or 0)
