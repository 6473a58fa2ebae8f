"""The ASGI application: every route over one service."""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

from local_retab.errors import LocalRetabError
from local_retab.server import extraction_routes, file_routes, parse_routes, schema_routes
from local_retab.server.access import Access, AccessMiddleware
from local_retab.server.failures import answer_error, answer_fault, answer_http_exception
from local_retab.server.feed import Admission
from local_retab.server.openapi import describe
from local_retab.server.state import State

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from local_retab.service import ExtractionService

DOCS = "/docs"
STATIC = f"{DOCS}/static"


def create_app(service: ExtractionService, access: Access) -> ASGIApp:
    """The application over ``service``, which the caller closes."""
    app = FastAPI(
        title="local_retab",
        version=version("local-retab"),
        description="Structured document extraction on this machine, through the interface of the hosted Retab API.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.local_retab = State(service, Admission(service.settings.max_requests))
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    app.add_exception_handler(LocalRetabError, answer_error)
    app.add_exception_handler(HTTPException, answer_http_exception)
    app.add_exception_handler(Exception, answer_fault)
    for routes in (extraction_routes, file_routes, parse_routes, schema_routes):
        app.include_router(routes.router)
    _add_pages(app)
    if service.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(service.settings.cors_origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["x-request-id"],
        )
    return AccessMiddleware(app, access)


def _add_pages(app: FastAPI) -> None:
    """Health, and the documentation from files of this machine: no page loads anything from elsewhere."""

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse(DOCS)

    @app.get("/health", include_in_schema=False)
    async def health() -> JSONResponse:
        return JSONResponse({"status": "ok", "version": app.version})

    @app.get(DOCS, include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="local_retab",
            swagger_js_url=f"{STATIC}/swagger-ui-bundle.js",
            swagger_css_url=f"{STATIC}/swagger-ui.css",
            swagger_favicon_url=f"{STATIC}/favicon-32x32.png",
        )

    # The package is a folder on disk, as pip installs it; of it only the files of the page are used.
    with as_file(files("swagger_ui") / "static") as folder:
        app.mount(STATIC, StaticFiles(directory=folder), name="docs")
