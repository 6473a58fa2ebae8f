"""Bodies and query parameters of requests, in every form in which the hosted clients write them."""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from starlette.requests import Request

from local_retab.errors import RequestError
from local_retab.server.failures import invalid
from local_retab.service.records import Idempotency

Body = TypeVar("Body", bound=BaseModel)

TRUE = ("true", "1", "yes", "on")
FALSE = ("false", "0", "no", "off")


async def read_body(request: Request, model: type[Body]) -> Body:
    """The JSON body as ``model``; fields that it lacks are looked for in the query. Raises RequestError.

    The official Python client sends keyword arguments that it does not know as query parameters.
    """
    data = await request.body()
    try:
        values = json.loads(data or b"{}", parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"The body is not JSON: {error}. Send one JSON object.") from error
    if not isinstance(values, dict):
        raise RequestError("The body is not a JSON object. Send one.")
    for name, text in request.query_params.items():
        field = model.model_fields.get(name)
        if field is not None and name not in values:
            values[name] = _value(field, text)
    try:
        # Through JSON once more: it refuses what Python's reader lets pass, such as lone surrogates.
        return model.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise invalid(error) from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _value(field: FieldInfo, text: str) -> Any:
    """A value of the query: JSON where the field cannot be a text. ``null`` is no null there but a word."""
    if str in (field.annotation, *get_args(field.annotation)) or text[:1] not in ("{", "["):
        return text
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return text


async def idempotency_of(request: Request) -> Idempotency | None:
    """The request's Idempotency-Key, bound to what was asked."""
    key = request.headers.get("idempotency-key")
    if not key:
        return None
    digest = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode())
    digest.update(await request.body())
    return Idempotency(key, digest.hexdigest())


def flag(request: Request, name: str, default: bool) -> bool:
    """A boolean of the query. Raises RequestError."""
    text = request.query_params.get(name, "").lower()
    if not text:
        return default
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise RequestError(f"{name}: {text[:80]!r} is not true or false.", details={"field": name})


def option(request: Request, name: str) -> str | None:
    """A word of the query in lower case; the Python client writes an enum as ``Class.MEMBER``."""
    text = request.query_params.get(name)
    return text.rpartition(".")[2].lower() if text else None
