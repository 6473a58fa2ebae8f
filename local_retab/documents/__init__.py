"""Bytes to pages: load any source into a Document, then read its pages."""

from local_retab.documents.document import Document, Page
from local_retab.documents.kept import KeptPages
from local_retab.documents.layout import WordBox, lay_out
from local_retab.documents.load import DocumentSource, load
from local_retab.documents.reading import page_count, pages
from local_retab.documents.recognition import Recognition, is_blank
from local_retab.documents.selection import PageSelection

__all__ = [
    "Document",
    "DocumentSource",
    "KeptPages",
    "Page",
    "PageSelection",
    "Recognition",
    "WordBox",
    "is_blank",
    "lay_out",
    "load",
    "page_count",
    "pages",
]
