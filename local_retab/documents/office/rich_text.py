"""RTF: its text, by striprtf, which ends a table cell with a bar. Objects and fields are not run."""

from __future__ import annotations

from collections.abc import Iterator

from striprtf.striprtf import rtf_to_text

from local_retab.documents.clock import ReadingClock
from local_retab.documents.document import Document
from local_retab.documents.office.page import PageText
from local_retab.settings import Settings


def read(document: Document, settings: Settings, clock: ReadingClock) -> Iterator[PageText]:
    """One page: RTF writers leave the place of page breaks to the reader."""
    page = PageText()
    # The format is ASCII; what is not stands for itself in the code page that the file names.
    for line in rtf_to_text(document.data.decode("cp1252", errors="replace"), errors="replace").splitlines():
        if line.endswith("|"):
            page.write_row([(cell, None) for cell in line.split("|")])
        else:
            page.write(f"{line}\n")
    yield page
