"""/v1/extractions."""

from __future__ import annotations

import asyncio
import time
from typing import cast, get_args
from urllib.parse import quote, urlencode

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from local_retab.errors import RequestError
from local_retab.server.answers import Form, RunAnswer
from local_retab.server.bodies import flag, idempotency_of, option, read_body
from local_retab.server.feed import Feed
from local_retab.server.listing import filters_of, respond, respond_page, window_of
from local_retab.server.openapi import FAILURES, body_of, id_list, sources_query, streams
from local_retab.server.state import service_of, state_of
from local_retab.service.runner import Run
from local_retab.service.sources import POLL_SECONDS, WAIT_SECONDS
from local_retab.wire import (
    Extraction,
    ExtractionParameters,
    ExtractionRequest,
    ListPage,
    SourcesJobRequest,
    SourcesMode,
    SourcesResponse,
)

router = APIRouter(prefix="/v1/extractions", tags=["extractions"], responses=FAILURES)


@router.post(
    "", status_code=201, responses={201: {"model": Extraction}, **streams()}, openapi_extra=body_of(ExtractionRequest)
)
async def create(request: Request) -> Response:
    """Extract and answer with the finished extraction; in the background with its record; with ``stream`` in lines."""
    body = await read_body(request, ExtractionRequest)
    if body.background:
        service = service_of(request)
        idempotency = await idempotency_of(request)

        def accept() -> Extraction:
            document = service.documents.read(body.document)
            return service.extractions.create_in_background(document, _parameters(body), idempotency)

        return respond(await run_in_threadpool(accept), 201)
    if body.stream:
        return await _answer(request, body, _stream_form(request), 200)
    return await _answer(request, body, "object", 201)


@router.post("/stream", responses=streams(), openapi_extra=body_of(ExtractionRequest))
async def stream(request: Request) -> Response:
    """Extract, and stream partial results as lines of JSON; the last line is the finished extraction.

    ``partials=false`` in the query gives that line alone; ``Accept: application/json`` gives it as a JSON answer.
    """
    body = await read_body(request, ExtractionRequest)
    if body.background:
        raise RequestError("background: a stream cannot run in the background. Send it to POST /v1/extractions.")
    if "application/json" in request.headers.get("accept", ""):
        return await _answer(request, body, "object", 200)
    return await _answer(request, body, _stream_form(request), 200)


def _stream_form(request: Request) -> Form:
    return "lines" if flag(request, "partials", True) else "last_line"


async def _answer(request: Request, body: ExtractionRequest, form: Form, status_code: int) -> RunAnswer:
    state = state_of(request)
    service = state.service
    idempotency = await idempotency_of(request)

    def open_run() -> Run:
        return service.extractions.stream(service.documents.read(body.document), _parameters(body), idempotency)

    heartbeat = service.settings.heartbeat_seconds
    return RunAnswer(Feed(open_run, state.admission), form, status_code=status_code, heartbeat=heartbeat)


def _parameters(body: ExtractionRequest) -> ExtractionParameters:
    values = {name: getattr(body, name) for name in ExtractionParameters.model_fields}
    return ExtractionParameters.model_construct(**values)


@router.get("", responses={200: {"model": ListPage[Extraction]}}, openapi_extra=id_list(records=True))
async def list_extractions(request: Request) -> Response:
    """List extractions, the newest first."""
    filters, window = filters_of(request), window_of(request)
    return respond_page(await run_in_threadpool(service_of(request).extractions.list, filters, window))


@router.get("/{extraction_id}", responses={200: {"model": Extraction}})
async def get(request: Request, extraction_id: str) -> Response:
    """One extraction; without its output with ``include_output=false``."""
    include = flag(request, "include_output", True)
    extractions = service_of(request).extractions
    return respond(await run_in_threadpool(extractions.get, extraction_id, include_output=include))


@router.delete("/{extraction_id}", status_code=204)
async def delete(request: Request, extraction_id: str) -> Response:
    """Delete an extraction for good; one that runs is stopped first."""
    await run_in_threadpool(service_of(request).extractions.delete, extraction_id)
    return Response(status_code=204)


@router.post("/{extraction_id}/cancel", responses={200: {"model": Extraction}})
async def cancel(request: Request, extraction_id: str) -> Response:
    """Stop an extraction; one that has ended stays as it is."""
    return respond(await run_in_threadpool(service_of(request).extractions.cancel, extraction_id))


@router.get("/{extraction_id}/sources", responses={200: {"model": SourcesResponse}}, openapi_extra=sources_query())
async def get_sources(request: Request, extraction_id: str) -> Response:
    """Where in the document each value was found; ``job`` says whether cited ones are still sought."""
    mode = option(request, "mode") or "located"
    if mode not in get_args(SourcesMode):
        raise RequestError(f"mode: {mode[:80]!r} is not located or cited.", details={"field": "mode"})
    asked = SourcesJobRequest(mode=cast("SourcesMode", mode), job_id=request.query_params.get("job_id"))
    return respond(await _sources(request, extraction_id, asked))


@router.post(
    "/{extraction_id}/sources",
    responses={
        200: {"model": SourcesResponse},
        202: {"model": SourcesResponse, "description": "The sources are still sought; ask at Location"},
    },
    openapi_extra=body_of(SourcesJobRequest),
)
async def create_sources(request: Request, extraction_id: str) -> Response:
    """Find the sources, waiting for them at most 20 seconds; repeated calls join the same job."""
    found = await _sources(request, extraction_id, await read_body(request, SourcesJobRequest))
    if not found.under_way or found.job is None:
        return respond(found)
    query = urlencode({"mode": found.job.mode, "job_id": found.job.id})
    return respond(found, 202, {"Location": f"/v1/extractions/{quote(extraction_id)}/sources?{query}"})


async def _sources(request: Request, extraction_id: str, asked: SourcesJobRequest) -> SourcesResponse:
    """The sources, for which no thread waits."""
    look = service_of(request).sources.look
    found = await run_in_threadpool(look, extraction_id, asked.mode, asked.job_id, retry=asked.retry)
    end = time.monotonic() + WAIT_SECONDS
    while found.under_way and not asked.background and time.monotonic() < end:
        await asyncio.sleep(POLL_SECONDS)
        found = await run_in_threadpool(look, extraction_id, asked.mode, asked.job_id)
    return found
