"""/v1/files."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from local_retab.errors import RequestError
from local_retab.server.bodies import idempotency_of, option, read_body
from local_retab.server.listing import period_of, respond, respond_page, window_of
from local_retab.server.openapi import FAILURES, body_of, id_list
from local_retab.server.state import base_of, service_of
from local_retab.wire import File, FileLink, FileUpload, ListPage, MIMEData, UploadCompletion, UploadRequest

router = APIRouter(prefix="/v1/files", tags=["files"], responses=FAILURES)


@router.post("/upload", status_code=201, responses={201: {"model": FileUpload}}, openapi_extra=body_of(UploadRequest))
async def begin_upload(request: Request) -> Response:
    """Reserve a file; its bytes are then sent to the answer's ``uploadUrl``."""
    body = await read_body(request, UploadRequest)
    files, idempotency = service_of(request).files, await idempotency_of(request)
    return respond(await run_in_threadpool(files.begin_upload, body, base_of(request), idempotency), 201)


@router.post(
    "/upload/{file_id}/complete", responses={200: {"model": MIMEData}}, openapi_extra=body_of(UploadCompletion)
)
async def complete_upload(request: Request, file_id: str) -> Response:
    """Check the bytes against what was announced, and answer with a reference to send as a document."""
    body = await read_body(request, UploadCompletion)
    return respond(await run_in_threadpool(service_of(request).files.complete_upload, file_id, body))


@router.put("/{file_id}/content", response_class=Response)
async def receive(request: Request, file_id: str, expires: str = "", signature: str = "") -> Response:
    """Send the bytes of a reserved file. The link is its own permission; no key is needed."""
    service = service_of(request)
    service.links.check("PUT", file_id, expires, signature)
    await service.files.receive(file_id, request.stream())
    return Response(status_code=200)


@router.get(
    "/{file_id}/content",
    response_class=Response,
    responses={200: {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def content(request: Request, file_id: str, expires: str = "", signature: str = "") -> Response:
    """The bytes of a file. The link is its own permission; no key is needed."""
    service = service_of(request)
    service.links.check("GET", file_id, expires, signature)
    file, path = await run_in_threadpool(service.files.content, file_id)
    # Never shown as a page of this server's origin, whatever the uploader says that it is.
    headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
    return FileResponse(
        path, media_type=file.mime_type or "application/octet-stream", filename=file.filename, headers=headers
    )


@router.get("", responses={200: {"model": ListPage[File]}}, openapi_extra=id_list(records=False))
async def list_files(request: Request) -> Response:
    """List files, the newest first."""
    window = window_of(request)
    start, end = period_of(request)
    sort_by = option(request, "sort_by") or "created_at"
    if sort_by not in ("created_at", "updated_at"):
        raise RequestError(f"sort_by: {sort_by[:80]!r} is not created_at or updated_at.", details={"field": "sort_by"})
    query = request.query_params

    def find() -> Response:
        return respond_page(
            service_of(request).files.list(
                window,
                filename=query.get("filename") or None,
                mime_type=query.get("mime_type") or None,
                start=start,
                end=end,
                by_update=sort_by == "updated_at",
            )
        )

    return await run_in_threadpool(find)


@router.get("/{file_id}", responses={200: {"model": File}})
async def get(request: Request, file_id: str) -> Response:
    """What is known of a file."""
    return respond(await run_in_threadpool(service_of(request).files.get, file_id))


@router.get("/{file_id}/download-link", responses={200: {"model": FileLink}})
async def download_link(request: Request, file_id: str) -> Response:
    """A link to the bytes that is good for a while, and a reference to send as a document."""
    return respond(await run_in_threadpool(service_of(request).files.link, file_id, base_of(request)))


@router.delete("/{file_id}", status_code=204)
async def delete(request: Request, file_id: str) -> Response:
    """Delete a file for good. An addition to the hosted API."""
    await run_in_threadpool(service_of(request).files.delete, file_id)
    return Response(status_code=204)
