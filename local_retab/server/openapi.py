"""What the routes say of themselves: they read their bodies and queries on their own, so it is written here."""

from __future__ import annotations

from typing import Any, get_args

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from local_retab.wire import (
    ConsensusRequest,
    ErrorBody,
    Extraction,
    ExtractionChunk,
    ExtractionRequest,
    ParseRequest,
    SchemaRequest,
    SourcesJobRequest,
    SourcesMode,
    StreamFailure,
    UploadCompletion,
    UploadRequest,
)

NAMED = (
    ConsensusRequest,
    Extraction,
    ExtractionChunk,
    ExtractionRequest,
    ParseRequest,
    SchemaRequest,
    SourcesJobRequest,
    StreamFailure,
    UploadCompletion,
    UploadRequest,
)
REFERENCE = "#/components/schemas/{model}"
Responses = dict[int | str, dict[str, Any]]

FAILURES: Responses = {
    code: {"model": ErrorBody, "description": text}
    for code, text in {
        400: "A query that cannot be read",
        401: "No key, or not this server's",
        403: "Not this server's Host header or link",
        404: "Not found",
        409: "The state does not allow it",
        410: "Expired",
        413: "Too large",
        422: "The request cannot be carried out as asked",
        424: "A document of an allowed host could not be fetched",
        429: "Overloaded",
        500: "A fault of the server",
        503: "The engine is being restarted",
    }.items()
}


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """The documentation of a JSON body."""
    schema = {"$ref": REFERENCE.format(model=model.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def streams() -> Responses:
    """The documentation of an answer in lines, or at once."""
    lines = [{"$ref": REFERENCE.format(model=model.__name__)} for model in (ExtractionChunk, StreamFailure)]
    content = {
        "application/stream+json": {"schema": {"type": "string"}, "x-itemSchema": {"anyOf": lines}},
        "application/json": {"schema": {"$ref": REFERENCE.format(model=Extraction.__name__)}},
    }
    return {200: {"description": "Snapshots, one on a line; the last is an Extraction", "content": content}}


def id_list(*, records: bool) -> dict[str, Any]:
    """The documentation of the query of a list."""

    text = {"type": "string"}
    found = [
        _parameter("before", **text),
        _parameter("after", **text),
        _parameter("limit", type="integer", minimum=1, maximum=100, default=10),
        _parameter("order", enum=["asc", "desc"], default="desc"),
        _parameter("filename", **text),
        _parameter("from_date", **text),
        _parameter("to_date", **text),
    ]
    if records:
        found += [
            _parameter("filename_contains", **text),
            _parameter("document_type", type="array", items=text),
            _parameter("status", **text),
            _parameter("metadata", **text),
        ]
    else:
        found += [_parameter("mime_type", **text), _parameter("sort_by", enum=["created_at", "updated_at"])]
    return {"parameters": found}


def sources_query() -> dict[str, Any]:
    """The documentation of the query of sources."""
    return {
        "parameters": [
            _parameter("mode", enum=list(get_args(SourcesMode)), default="located"),
            _parameter("job_id", type="string"),
        ]
    }


def _parameter(name: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the models that the routes only name."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        _, definitions = models_json_schema([(model, "validation") for model in NAMED], ref_template=REFERENCE)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for name, schema in definitions["$defs"].items():
            schemas.setdefault(name, schema)
        document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"bearer": []}]
        app.openapi_schema = document
    return app.openapi_schema
