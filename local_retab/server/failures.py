"""Errors as HTTP answers, in the one form that every hosted client reads a message from."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from starlette.responses import Response

from local_retab.errors import (
    EngineError,
    LocalRetabError,
    NotFoundError,
    OverloadedError,
    RequestError,
    WorkerLostError,
)
from local_retab.wire import ErrorBody, ErrorInfo

if TYPE_CHECKING:
    from starlette.exceptions import HTTPException
    from starlette.requests import Request

logger = logging.getLogger(__name__)

RETRY_AFTER = 1


def failure(error: LocalRetabError) -> Response:
    """The answer for an error."""
    headers = {}
    if isinstance(error, OverloadedError | WorkerLostError):
        headers["Retry-After"] = str(error.details.get("retry_after", RETRY_AFTER))
    body = ErrorBody(detail=info(error), message=error.message)
    return Response(
        body.model_dump_json(ensure_ascii=True),
        status_code=error.http_status,
        media_type="application/json",
        headers=headers,
    )


def info(error: LocalRetabError) -> ErrorInfo:
    """Code, message and details of an error."""
    return ErrorInfo(code=error.code, message=error.message, details=error.details)


def invalid(error: ValidationError) -> RequestError:
    """The error for values that a request model refuses."""
    problems = [
        {"path": ".".join(map(str, found["loc"])), "reason": found["msg"]}
        for found in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    first = problems[0]
    place = f"{first['path']}: " if first["path"] else ""
    return RequestError(f"{place}{first['reason']}.", details={"problems": problems[:20]})


async def answer_error(_request: Request, error: Exception) -> Response:
    """For errors of this package."""
    assert isinstance(error, LocalRetabError)
    if error.http_status >= 500:
        logger.error("%s: %s", error.code, error.message)
    return failure(error)


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """For what the framework refuses itself: unknown paths and methods."""
    exception: Any = error
    found: HTTPException = exception
    if found.status_code == 404:
        return failure(
            NotFoundError(
                f"{request.method} {request.url.path[:200]}: this server has no such route. It has extractions, "
                f"parses, schemas/generate, consensus and files; see /docs."
            )
        )
    body = ErrorBody(detail=ErrorInfo(code="HTTP_ERROR", message=str(found.detail)), message=str(found.detail))
    return Response(
        body.model_dump_json(ensure_ascii=True),
        status_code=found.status_code,
        media_type="application/json",
        headers=found.headers,
    )


async def answer_fault(_request: Request, error: Exception) -> Response:
    """For what must not happen."""
    logger.exception("a request failed", exc_info=error)
    return failure(EngineError(f"{type(error).__name__} in the server. Please report it, with the server's log."))
