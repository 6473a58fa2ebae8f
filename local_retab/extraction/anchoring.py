"""Located values in the wire's form: a tree that mirrors the output, with an anchor in the file for each source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from local_retab.documents.anchors import CsvCell, SpreadsheetCell, anchors_of
from local_retab.extraction.sources import Located, locate
from local_retab.wire import ExtractionSources

if TYPE_CHECKING:
    from pydantic import JsonValue

    from local_retab.documents import Document, Page
    from local_retab.wire import DocumentType

_SEPARATED = {"text/csv", "text/tab-separated-values"}
_OFFICE: dict[str, DocumentType] = {
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.ms-excel": "xlsx",
    "application/vnd.oasis.opendocument.spreadsheet": "xlsx",
}
"""What is none of the wire's types is read as text."""
_DECIMALS = 6
_LEAST = 10**-_DECIMALS


def find_sources(
    document: Document, pages: Sequence[Page], output: JsonValue, schema: dict[str, Any] | None
) -> ExtractionSources:
    """Where each value of ``output`` is printed in ``pages``, the pages that it was extracted from, with words."""
    return to_wire(document, pages, output, locate(output, schema, pages), mode="located")


def to_wire(
    document: Document,
    pages: Sequence[Page],
    output: JsonValue,
    located: Sequence[Located],
    *,
    mode: Literal["located", "cited"],
) -> ExtractionSources:
    """The sources of all leaves of ``output`` in the wire's form."""
    numbered = {page.number: page for page in pages}
    found = {entry.path: _source(document, numbered, entry) for entry in located}
    evidence = {".".join(map(str, entry.path)): _evidence(entry, found[entry.path]) for entry in located}
    tree = _tree(output, (), found)
    return ExtractionSources(mode=mode, document_type=document_type(document), sources=tree, evidence=evidence)


def carry_over(found: ExtractionSources | None, output: JsonValue, unfound: str) -> tuple[Any, dict[str, Any]]:
    """The tree and the evidence of sources for ``output``, taken from those of another run on the same document.

    A value that the other run did not give at the same path has no source, and ``unfound`` is its status.
    """
    evidence: dict[str, Any] = {}

    def carry(value: JsonValue, node: Any, path: tuple[str | int, ...]) -> Any:
        if isinstance(value, dict) and value:
            branch = node if isinstance(node, dict) else {}
            return {key: carry(item, branch.get(key), (*path, key)) for key, item in value.items()}
        if isinstance(value, list) and value:
            items = node if isinstance(node, list) else []
            rest = [None] * (len(value) - len(items))
            return [
                carry(item, other, (*path, i))
                for i, (item, other) in enumerate(zip(value, [*items, *rest], strict=False))
            ]
        name = ".".join(map(str, path))
        if found is not None and _is_leaf_of(node, value) and name in found.evidence:
            evidence[name] = found.evidence[name]
            return node
        evidence[name] = {"kind": "unavailable", "status": unfound, "sources": None}
        return {"value": value, "source": None}

    return carry(output, None if found is None else found.sources, ()), evidence


def _is_leaf_of(node: Any, value: JsonValue) -> bool:
    same_kind = isinstance(node, dict) and isinstance(node.get("value"), bool) == isinstance(value, bool)
    return same_kind and node.keys() == {"value", "source"} and node["value"] == value


def document_type(document: Document) -> DocumentType:
    """The wire's name for what the document is."""
    match document.kind:
        case "pdf" | "image":
            return document.kind
        case "text":
            return "csv" if document.mime_type in _SEPARATED else "txt"
        case "office":
            return _OFFICE.get(document.mime_type, "txt")


def _tree(value: JsonValue, path: tuple[str | int, ...], found: dict[tuple[str | int, ...], Any]) -> Any:
    if isinstance(value, dict) and value:
        return {key: _tree(item, (*path, key), found) for key, item in value.items()}
    if isinstance(value, list) and value:
        return [_tree(item, (*path, index), found) for index, item in enumerate(value)]
    return {"value": value, "source": found[path]}


def _source(document: Document, pages: dict[int, Page], entry: Located) -> dict[str, Any] | None:
    if entry.box is None:
        return None
    page = pages[entry.page]
    if page.words:
        anchor = _box_anchor(document, page, entry.box)
    else:
        anchor = _place_anchor(page, entry.box) or _text_anchor(entry.box)
    return {"content": entry.content, "anchor": anchor, "file_id": document.id}


def _box_anchor(document: Document, page: Page, box: tuple[float, float, float, float]) -> dict[str, Any]:
    left, width = _share(box[0], box[2], page.width)
    top, height = _share(box[1], box[3], page.height)
    kind = "pdf_bbox" if document.kind == "pdf" else "image_bbox"
    return {"kind": kind, "page": page.number, "left": left, "top": top, "width": width, "height": height}


def _share(start: float, end: float, extent: float) -> tuple[float, float]:
    """Start and size as shares of a page, within it and never nothing."""
    first = min(max(round(start / extent, _DECIMALS), 0.0), 1 - _LEAST)
    size = max(round(end / extent, _DECIMALS) - first, _LEAST)
    return first, round(min(size, 1 - first), _DECIMALS)


def _place_anchor(page: Page, box: tuple[float, float, float, float]) -> dict[str, Any] | None:
    """The first cell or paragraph that a box on the grid of the page's text touches; None where there is none."""
    left, top, right, bottom = map(round, box)
    lines = page.text.split("\n")
    begin = sum(len(line) + 1 for line in lines[:top]) + left
    end = sum(len(line) + 1 for line in lines[: bottom - 1]) + right
    touched = anchors_of(page.anchors, begin, end)
    if not touched:
        return None
    place = touched[0].place
    anchor = {"kind": place.kind, **asdict(place)}
    return (
        {**anchor, "coordinate": f"{place.column}{place.row}"}
        if isinstance(place, CsvCell | SpreadsheetCell)
        else anchor
    )


def _text_anchor(box: tuple[float, float, float, float]) -> dict[str, Any]:
    """A box on the grid of a text's lines and columns; characters count from 0 in the first and in the last line."""
    left, top, right, bottom = map(round, box)
    return {"kind": "text_span", "line_start": top + 1, "line_end": bottom, "char_start": left, "char_end": right}


def _evidence(entry: Located, source: dict[str, Any] | None) -> dict[str, Any]:
    if source is None:
        return {"kind": "unavailable", "status": entry.status, "sources": None}
    qualification = "partial" if entry.status == "partial" else "direct"
    return {
        "kind": "direct" if entry.is_answer else "supporting",
        "status": entry.status,
        "sources": [{**source, "qualification": qualification, "role": "answer"}],
    }
