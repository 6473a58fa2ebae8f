"""Requests of every shape: whatever comes in, the answer is one of the contract's, and never a fault of the server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from conformance import Conformance
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from scripted_server import SCHEMA, data_url, open_engine, settings_for

from local_retab.server.access import Access
from local_retab.server.app import create_app
from local_retab.service import ExtractionService

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        "document", "json_schema", "model", "instructions", "n_consensus", "metadata", "additional_messages", "stream",
        "background", "image_resolution_dpi", "chunking_keys", "deep_extraction", "sources", "bust_cache", "unknown",
    ]
)  # fmt: skip
QUERIES = st.sampled_from(
    [
        "before", "after", "limit", "order", "filename", "filename_contains", "filename_regex", "from_date", "to_date",
        "status", "metadata", "document_type", "sort_by", "mime_type",
    ]
)  # fmt: skip
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "filename": st.text(max_size=20),
        "url": st.text(max_size=40) | st.text(max_size=40).map(data_url),
        "id": st.text(max_size=20),
        "content": st.text(max_size=20),
        "mime_type": st.text(max_size=20),
    },
)
QUIET = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def sound(answer: httpx.Response) -> None:
    """An answer of the contract."""
    assert answer.status_code < 500, answer.text
    assert answer.headers["x-request-id"].startswith("req_")
    if answer.status_code >= 400:
        values = answer.json()
        assert values["message"] == values["detail"]["message"]


@QUIET
@given(fields=st.dictionaries(FIELDS, JSON, max_size=5), document=DOCUMENTS)
def test_bodies_of_extractions(http: httpx.Client, fields: dict[str, Any], document: dict[str, Any]) -> None:
    body = {"document": document, "json_schema": SCHEMA, **fields}
    sound(http.post("/v1/extractions/stream", content=json.dumps(body).encode()))


@QUIET
@given(content=st.binary(max_size=200))
def test_bodies_that_are_anything(http: httpx.Client, content: bytes) -> None:
    for path in ("/v1/extractions", "/v1/parses", "/v1/schemas/generate", "/v1/consensus", "/v1/files/upload"):
        sound(http.post(path, content=content))


@QUIET
@given(query=st.dictionaries(QUERIES, st.text(max_size=30), max_size=4))
def test_queries(http: httpx.Client, query: dict[str, str]) -> None:
    query = {name: text.encode("utf-8", "replace").decode() for name, text in query.items()}
    for path in ("/v1/extractions", "/v1/parses", "/v1/files"):
        sound(http.get(path, params=query))


def test_an_answer_that_is_not_described_is_noticed(http: httpx.Client, conformance: Conformance) -> None:
    asked = http.get("/v1/files").request
    wrong = [
        httpx.Response(200, json={"data": []}, request=asked),
        httpx.Response(
            200, json={"data": [{"id": 1}], "list_metadata": {"before": None, "after": None}}, request=asked
        ),
        httpx.Response(200, text="{}", request=asked),
        httpx.Response(418, json={}, request=asked),
    ]
    for answer in wrong:
        with pytest.raises(AssertionError):
            conformance.check(answer)
    assert ("list_files_v1_files_get", 200) in conformance.checked


def test_requests_made_from_our_own_openapi(tmp_path: Path) -> None:
    service = ExtractionService(settings_for(tmp_path), open_engine)
    app = create_app(service, Access(key=None, hosts=None, max_body_bytes=1_000_000))
    described = schemathesis.openapi.from_asgi("/openapi.json", app)
    operations = [result.ok() for result in described.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:

        @settings(max_examples=5, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def answers(case: Any) -> None:
            case.call_and_validate(headers={"Authorization": "Bearer any"}, checks=CHECKS)

        answers()
    service.close()
