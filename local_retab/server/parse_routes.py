"""/v1/parses."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from local_retab.server.bodies import flag, idempotency_of, read_body
from local_retab.server.listing import filters_of, respond, respond_page, window_of
from local_retab.server.openapi import FAILURES, body_of, id_list
from local_retab.server.state import service_of
from local_retab.wire import ListPage, Parse, ParseParameters, ParseRequest

router = APIRouter(prefix="/v1/parses", tags=["parses"], responses=FAILURES)


@router.post("", status_code=201, responses={201: {"model": Parse}}, openapi_extra=body_of(ParseRequest))
async def create(request: Request) -> Response:
    """Read the text of a document, page by page."""
    body = await read_body(request, ParseRequest)
    service, idempotency = service_of(request), await idempotency_of(request)

    def parse() -> Parse:
        values = {name: getattr(body, name) for name in ParseParameters.model_fields}
        document = service.documents.read(body.document)
        return service.parses.create(document, ParseParameters.model_construct(**values), idempotency)

    return respond(await run_in_threadpool(parse), 201)


@router.get("", responses={200: {"model": ListPage[Parse]}}, openapi_extra=id_list(records=True))
async def list_parses(request: Request) -> Response:
    """List parses, the newest first."""
    filters, window = filters_of(request), window_of(request)
    return respond_page(await run_in_threadpool(service_of(request).parses.list, filters, window))


@router.get("/{parse_id}", responses={200: {"model": Parse}})
async def get(request: Request, parse_id: str) -> Response:
    """One parse; without its output with ``include_output=false``."""
    include = flag(request, "include_output", True)
    return respond(await run_in_threadpool(service_of(request).parses.get, parse_id, include_output=include))


@router.delete("/{parse_id}", status_code=204)
async def delete(request: Request, parse_id: str) -> Response:
    """Delete a parse for good; one that runs is stopped first."""
    await run_in_threadpool(service_of(request).parses.delete, parse_id)
    return Response(status_code=204)


@router.post("/{parse_id}/cancel", responses={200: {"model": Parse}})
async def cancel(request: Request, parse_id: str) -> Response:
    """Stop a parse; one that has ended stays as it is."""
    return respond(await run_in_threadpool(service_of(request).parses.cancel, parse_id))
