"""HTML: its visible text laid out with its tables, by Inscriptis. Nothing that it links to is fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator

from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.html_engine import Inscriptis
from inscriptis.model.config import ParserConfig
from lxml import html

from local_retab.documents.clock import ReadingClock
from local_retab.documents.document import Document
from local_retab.documents.office.page import PageText
from local_retab.documents.text import decode
from local_retab.settings import Settings

_DECLARED_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.IGNORECASE)
_DECLARATION_WINDOW = 4096
_XML_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*>")
_BLANK_LINES = re.compile(r"\n\s*\n\s*\n")


def read(document: Document, settings: Settings, clock: ReadingClock) -> Iterator[PageText]:
    """One page."""
    page = PageText()
    page.write(html_text(_decoded(document)))
    yield page


def html_text(source: str) -> str:
    """What a reader of the page sees; scripts, styles and hidden elements are not part of it."""
    source = _XML_DECLARATION.sub("", source, count=1)
    if not source.strip():
        return ""
    # Without huge_tree, libxml2 drops what is nested deeper than 256 elements and says nothing.
    tree = html.document_fromstring(source, parser=html.HTMLParser(huge_tree=True, no_network=True))
    text = Inscriptis(tree, ParserConfig(css=CSS_PROFILES["strict"])).get_text()
    lines = (line.rstrip() for line in text.replace("\xa0", " ").splitlines())
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip("\n")


def _decoded(document: Document) -> str:
    """By byte order mark or as UTF-8, else as the page declares, else as other text is."""
    declared = _DECLARED_CHARSET.search(document.data, 0, _DECLARATION_WINDOW)
    if declared is not None:
        try:
            document.data.decode("utf-8")
        except UnicodeDecodeError:
            try:
                return document.data.decode(declared[1].decode("ascii"), errors="replace")
            except (LookupError, UnicodeError):
                pass
    return decode(document)
