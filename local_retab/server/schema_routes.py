"""/v1/schemas and /v1/consensus."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from local_retab.server.bodies import idempotency_of, read_body
from local_retab.server.listing import respond
from local_retab.server.openapi import FAILURES, body_of
from local_retab.server.state import service_of
from local_retab.wire import ConsensusRequest, Reconciliation, SchemaGeneration, SchemaParameters, SchemaRequest

router = APIRouter(prefix="/v1", tags=["schemas"], responses=FAILURES)


@router.post(
    "/schemas/generate",
    status_code=201,
    responses={201: {"model": SchemaGeneration}},
    openapi_extra=body_of(SchemaRequest),
)
async def generate(request: Request) -> Response:
    """Propose a JSON schema for documents."""
    body = await read_body(request, SchemaRequest)
    service, idempotency = service_of(request), await idempotency_of(request)

    def propose() -> SchemaGeneration:
        documents = [service.documents.read(document) for document in body.documents]
        values = {name: getattr(body, name) for name in SchemaParameters.model_fields}
        return service.schemas.create(documents, SchemaParameters.model_construct(**values), idempotency)

    return respond(await run_in_threadpool(propose), 201)


@router.get("/schemas/generate/{schema_id}", responses={200: {"model": SchemaGeneration}})
async def get(request: Request, schema_id: str) -> Response:
    """One schema generation."""
    return respond(await run_in_threadpool(service_of(request).schemas.get, schema_id))


@router.delete("/schemas/generate/{schema_id}", status_code=204)
async def delete(request: Request, schema_id: str) -> Response:
    """Delete a schema generation for good. An addition to the hosted API."""
    await run_in_threadpool(service_of(request).schemas.delete, schema_id)
    return Response(status_code=204)


@router.post("/schemas/generate/{schema_id}/cancel", responses={200: {"model": SchemaGeneration}})
async def cancel(request: Request, schema_id: str) -> Response:
    """Stop a schema generation; one that has ended stays as it is."""
    return respond(await run_in_threadpool(service_of(request).schemas.cancel, schema_id))


@router.post(
    "/consensus",
    tags=["consensus"],
    responses={200: {"model": Reconciliation}},
    openapi_extra=body_of(ConsensusRequest),
)
async def consensus(request: Request) -> Response:
    """Reconcile several objects that describe the same thing. No model is asked."""
    body = await read_body(request, ConsensusRequest)
    return respond(await run_in_threadpool(service_of(request).reconcile, body))
