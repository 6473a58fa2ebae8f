"""Query parameters of lists, and the envelope that lists come in."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from local_retab.errors import RequestError
from local_retab.server.bodies import option
from local_retab.storage import Filters, Page, Window
from local_retab.storage.periods import moment_of
from local_retab.wire import ListMetadata, ListPage, Status

DOCUMENT_TYPES = frozenset(
    {
        "bmp", "csv", "doc", "docm", "docx", "dotm", "dotx", "eml", "gif", "heic", "heif", "htm", "html", "jpeg",
        "jpg", "json", "md", "mhtml", "msg", "odp", "ods", "odt", "ots", "ott", "pdf", "png", "ppt", "pptx", "rtf",
        "svg", "tif", "tiff", "tsv", "txt", "webp", "xlam", "xls", "xlsb", "xlsm", "xlsx", "xltm", "xltx", "xml",
        "yaml", "yml",
    }
)  # fmt: skip
DEFAULT_LIMIT, MAX_LIMIT = 10, 100
_PATTERN = re.compile(r"[\\^$*+?{}\[\]|()]")
_METADATA = TypeAdapter(dict[str, str])


def window_of(request: Request) -> Window:
    """Cursors, limit and order. Raises RequestError."""
    query = request.query_params
    text = query.get("limit") or str(DEFAULT_LIMIT)
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise RequestError(f"limit: {text[:80]!r} is not a number from 1 to {MAX_LIMIT}.", details={"field": "limit"})
    order = option(request, "order") or "desc"
    if order not in ("asc", "desc"):
        raise RequestError(f"order: {order[:80]!r} is not asc or desc.", details={"field": "order"})
    return Window(query.get("before") or None, query.get("after") or None, int(text), order == "desc")


def filters_of(request: Request) -> Filters:
    """Which records are wanted. Raises RequestError, MalformedQueryError."""
    query = request.query_params
    pattern = query.get("filename_regex") or None
    if pattern is not None and _PATTERN.search(pattern):
        raise RequestError(
            "filename_regex: patterns are not supported; it is the beginning of a filename. Use filename or "
            "filename_contains.",
            details={"field": "filename_regex"},
        )
    status = option(request, "status")
    if status is not None and status not in get_args(Status):
        raise RequestError(
            f"status: {status[:80]!r} is not one of {', '.join(get_args(Status))}.", details={"field": "status"}
        )
    start, end = period_of(request)
    return Filters(
        filename=query.get("filename") or pattern,
        filename_contains=query.get("filename_contains") or None,
        extensions=_document_types(request),
        status=status,  # type: ignore[arg-type]
        start=start,
        end=end,
        metadata=_metadata(query.get("metadata")),
    )


def period_of(request: Request) -> tuple[int | None, int | None]:
    """from_date and to_date as microseconds, the end exclusive; a date stands for its whole day."""
    query = request.query_params
    start = moment_of("from_date", query.get("from_date"), end=False)
    return start, moment_of("to_date", query.get("to_date"), end=True)


def _document_types(request: Request) -> tuple[str, ...]:
    """Repeated, joined by commas, in brackets, or with an index in the name."""
    texts = [
        text for name, text in request.query_params.multi_items() if re.fullmatch(r"document_type(\[\d*\])?", name)
    ]
    found = [word.strip().lower() for text in texts for word in text.strip("[] ").split(",") if word.strip()]
    unknown = [word for word in found if word not in DOCUMENT_TYPES]
    if unknown:
        raise RequestError(
            f"document_type: {unknown[0][:80]!r} is not one of {', '.join(sorted(DOCUMENT_TYPES))}.",
            details={"field": "document_type"},
        )
    return tuple(found)


def _metadata(text: str | None) -> dict[str, str] | None:
    if not text:
        return None
    try:
        return _METADATA.validate_python(json.loads(text), strict=True)
    except (ValueError, RecursionError, ValidationError) as error:
        raise RequestError(
            'metadata: not a JSON object of texts, such as {"customer": "acme"}.', details={"field": "metadata"}
        ) from error


def respond(model: BaseModel, status_code: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A model as a JSON answer."""
    return Response(
        model.model_dump_json(by_alias=True), status_code=status_code, media_type="application/json", headers=headers
    )


def respond_page(page: Page[Any]) -> Response:
    """A page as the hosted envelope."""
    return respond(
        ListPage[Any](
            data=list(page.items),
            list_metadata=ListMetadata(before=page.before, after=page.after),
        )
    )
