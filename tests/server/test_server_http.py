"""What the wire has that the official client does not show: bytes, headers, statuses, and hanging up."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from scripted_server import (
    ENDLESS,
    SCHEMA,
    TEXT,
    VALUE,
    Clock,
    body,
    data_url,
    document,
    open_engine,
    serving_on,
    settings_for,
    until,
)

from local_retab.documents.document import content_id
from local_retab.server.access import Access
from local_retab.service import ExtractionService
from local_retab.wire import Extraction

STREAM = "/v1/extractions/stream"


def error_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and code; every error has the one form."""
    values = answer.json()
    assert values["message"] == values["detail"]["message"]
    assert answer.headers["x-request-id"].startswith("req_")
    return answer.status_code, values["detail"]["code"]


def lines_of(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.content.split(b"\n") if line]


def test_a_stream_is_ndjson_in_ascii(http: httpx.Client) -> None:
    answer = http.post(STREAM, json=body(bust_cache=True))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/stream+json")
    assert answer.content.isascii()
    assert answer.content.endswith(b"\n")
    assert set(lines_of(answer)[0]) >= {"id", "file", "model", "output", "created_at"}
    last = Extraction.model_validate(lines_of(answer)[-1])
    assert (last.output, last.status) == (VALUE, "completed")


def test_forms_of_a_stream_for_clients_that_read_one_value(http: httpx.Client) -> None:
    single = http.post(STREAM, json=body(bust_cache=True), params={"partials": "false"})
    assert (len(lines_of(single)), single.json()["output"]) == (1, VALUE)
    whole = http.post(STREAM, json=body(), headers={"Accept": "application/json"})
    assert (whole.headers["content-type"], whole.json()["output"]) == ("application/json", VALUE)
    flagged = http.post("/v1/extractions", json=body(stream=True, bust_cache=True))
    assert (flagged.status_code, lines_of(flagged)[-1]["output"]) == (200, VALUE)
    assert error_of(http.post(STREAM, json=body(background=True))) == (422, "INVALID_REQUEST")


def test_every_answer_has_a_request_id_of_its_own(http: httpx.Client) -> None:
    ids = {http.get(path).headers["x-request-id"] for path in ("/v1/files", "/v1/extractions/extr_x", "/docs", "/x")}
    assert len(ids) == 4


@pytest.mark.parametrize("path", ["/v1/extractions", "/v1/files/x", "/v1/nothing", "/v1/edits", "/v1/consensus"])
def test_no_key_is_401_before_anything_else(address: str, path: str) -> None:
    with httpx.Client(base_url=address) as client:
        assert error_of(client.post(path, content=b"not json")) == (401, "UNAUTHORIZED")
        assert error_of(client.get(path, headers={"Authorization": "Basic eDp5"})) == (401, "UNAUTHORIZED")
        assert client.get("/v1/files", headers={"Api-Key": "any"}).status_code == 200


def test_unknown_routes_are_404(http: httpx.Client) -> None:
    for path in ("/v1/edits", "/v1/classifications", "/v1/splits", "/v1/workflows/x", "/nothing"):
        assert error_of(http.get(path)) == (404, "NOT_FOUND")
    assert http.put("/v1/extractions").status_code == 405


def test_only_this_host_is_answered(http: httpx.Client, address: str) -> None:
    assert error_of(http.get("/v1/files", headers={"Host": "evil.example"})) == (403, "HOST_NOT_ALLOWED")
    assert http.get("/v1/files", headers={"Host": f"localhost:{address.rpartition(':')[2]}"}).status_code == 200
    assert "access-control-allow-origin" not in http.get("/v1/files", headers={"Origin": "https://x.example"}).headers


def test_a_key_that_is_set_is_the_only_one(tmp_path: Path) -> None:
    service = ExtractionService(settings_for(tmp_path, api_key="séc", cors_origins=("https://x.example",)), open_engine)
    with serving_on(service) as address, httpx.Client(base_url=address) as client:
        right = {"Api-Key": "séc".encode()}
        assert client.get("/v1/files", headers={"Authorization": "Bearer wrong"}).status_code == 401
        answer = client.get("/v1/files", headers={**right, "Origin": b"https://x.example"})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://x.example")
    service.close()


def test_hosts_beyond_this_machine() -> None:
    assert Access.on("0.0.0.0", "key", (), 1).hosts is None
    assert Access.on("0.0.0.0", "key", ("box.lan",), 1).hosts == ("box.lan",)
    assert "127.0.0.1" in (Access.on("127.0.0.1", None, (), 1).hosts or ())


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"[]", 422),
        (b"\xff", 422),
        (b"[" * 100_000, 422),
        (json.dumps({"document": document()}).encode(), 422),
        (json.dumps({"json_schema": SCHEMA}).encode(), 422),
        (json.dumps(body(document={"url": data_url("x")})).encode(), 422),
        (json.dumps(body(document={"filename": "a.txt"})).encode(), 422),
        (json.dumps(body(document={"filename": "a.txt", "url": "data:text/plain;base64,@@"})).encode(), 422),
        (json.dumps(body(document={"filename": "a.txt", "url": "/etc/passwd"})).encode(), 422),
        (json.dumps(body(document={"filename": "a.txt", "url": "file:///etc/passwd"})).encode(), 422),
        (json.dumps(body(document={"filename": "a.txt", "url": "http://169.254.169.254/x"})).encode(), 422),
        (json.dumps(body(document={"filename": "a.pdf", "url": data_url(b"%PDF-1.4 x")})).encode(), 422),
        (json.dumps(body(document={"id": "file_unknown"})).encode(), 404),
        (json.dumps(body(document={"id": "../../model.gguf"})).encode(), 404),
        (json.dumps(body(metadata={"a": 1})).encode(), 422),
        (json.dumps(body(n_consensus=0)).encode(), 422),
        (json.dumps(body(unknown=1)).encode(), 422),
        (b'{"document": {"filename": "\\ud800", "url": "data:,x"}, "json_schema": {}}', 422),
        (b'{"document": {"filename": "a", "url": "data:,x"}, "json_schema": {"maximum": NaN}}', 422),
    ],
)
def test_bad_bodies_are_refused_before_the_first_byte(http: httpx.Client, content: bytes, status: int) -> None:
    for path in (STREAM, "/v1/extractions"):
        assert error_of(http.post(path, content=content))[0] == status


def test_remote_documents_are_refused_by_name(http: httpx.Client) -> None:
    remote = body(document={"filename": "a.pdf", "url": "https://my-bucket.s3.us-east-1.amazonaws.com/a.pdf"})
    assert error_of(http.post(STREAM, json=remote)) == (422, "REMOTE_FETCH_DISABLED")


def test_a_fetched_document_is_a_file_like_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_retab.service.fetching.Fetcher.fetch", lambda _self, _url: TEXT.encode())
    service = ExtractionService(settings_for(tmp_path, fetch_hosts=("files.example.com",)), open_engine)
    with serving_on(service) as address, httpx.Client(base_url=address, headers={"Api-Key": "x"}) as client:
        remote = body(document={"filename": "invoice.txt", "url": "https://files.example.com/1"})
        found = client.post("/v1/extractions", json=remote).json()
        assert (found["output"], found["file"]["id"]) == (VALUE, content_id(TEXT.encode()))
        assert client.get(f"/v1/files/{found['file']['id']}").json()["filename"] == "invoice.txt"
    service.close()


def test_nulls_queries_and_forms_of_documents(http: httpx.Client) -> None:
    nulls = body(model=None, n_consensus=None, instructions="", metadata={}, bust_cache=None, sources=None)
    assert http.post("/v1/extractions", json=nulls).status_code == 201
    query = {"image_resolution_dpi": "150", "unknown": "x"}
    assert http.post("/v1/extractions", json=body(), params=query).status_code == 201
    assert http.post("/v1/extractions", json=body(), params={"image_resolution_dpi": "1"}).status_code == 422
    texts = {"instructions": "12", "metadata": '{"a": "b"}', "bust_cache": "True", "n_consensus": "2"}
    found = http.post("/v1/extractions", json=body(), params=texts).json()
    assert (found["instructions"], found["metadata"], found["n_consensus"]) == ("12", {"a": "b"}, 2)
    go = body(document={"content": "aGVsbG8=", "mime_type": "text/plain"})
    assert http.post("/v1/extractions", json=go).json()["file"]["mime_type"] == "text/plain"
    percent = body(document={"filename": "a.txt", "url": "data:text/plain,hello%20there"})
    file = http.post("/v1/extractions", json=percent).json()["file"]
    assert file["id"] == "file_" + hashlib.blake2b(b"hello there", digest_size=8).hexdigest()
    again = http.post("/v1/extractions", json=body(document={"id": file["id"]})).json()
    assert again["file"] == {**file, "filename": "a.txt"}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=0", 422),
        ("limit=101", 422),
        ("limit=x", 422),
        ("limit=100", 200),
        ("order=up", 422),
        ("order=PaginationOrder.ASC", 200),
        ("from_date=yesterday", 400),
        ("to_date=2024-13-01", 400),
        ("from_date=2024-01-01T00:00:00Z&to_date=2023-01-01", 200),
        ("from_date=2024-01-01T00:00:00+01:00", 200),
        ("status=ExtractionStatus.COMPLETED", 200),
        ("status=done", 422),
        ("document_type=pdf,txt", 200),
        ("document_type[0]=pdf", 200),
        ("document_type=exe", 422),
        ("metadata=[]", 422),
        ("metadata=%7B%22a%22%3A1%7D", 422),
        ("filename_regex=.*", 422),
        ("filename_regex=invoice", 200),
        ("filename=" + "é" * 1000, 200),
        ("filename=%25'%22%5B%28*", 200),
        ("after=extr_unknown", 200),
        ("before=extr_unknown", 200),
    ],
)
def test_queries_of_lists(http: httpx.Client, query: str, status: int) -> None:
    answer = http.get(f"/v1/extractions?{query}")
    assert answer.status_code == status
    if status == 200:
        assert set(answer.json()["list_metadata"]) == {"before", "after"}
    else:
        error_of(answer)


def test_a_page_that_is_exactly_full_is_the_last(http: httpx.Client) -> None:
    mark = {"metadata": json.dumps({"exactly": "full"}), "limit": 2}
    for _ in range(2):
        http.post("/v1/extractions", json=body(metadata={"exactly": "full"}))
    assert http.get("/v1/extractions", params=mark).json()["list_metadata"] == {"before": None, "after": None}


def test_hanging_up_stops_the_work_and_cancels_the_record(http: httpx.Client, service: ExtractionService) -> None:
    with http.stream("POST", STREAM, json=body(ENDLESS)) as answer:
        lines = answer.iter_lines()
        record_id = json.loads(next(lines))["id"]
        assert service.extractions.get(record_id).status == "in_progress"
    until(lambda: service.extractions.get(record_id).status == "cancelled")


def test_hanging_up_on_a_plain_request_stops_it_too(address: str, service: ExtractionService) -> None:
    mark = {"hangs": "up"}
    with (
        httpx.Client(base_url=address, headers={"Api-Key": "x"}, timeout=0.3) as client,
        pytest.raises(httpx.TimeoutException),
    ):
        client.post("/v1/extractions", json=body(ENDLESS, metadata=mark))

    def statuses() -> list[str]:
        found = httpx.get(f"{address}/v1/extractions", params={"metadata": json.dumps(mark)}, headers={"Api-Key": "x"})
        return [record["status"] for record in found.json()["data"]]

    until(lambda: statuses() == ["cancelled"])


def test_cancel_ends_a_stream_with_a_last_line(http: httpx.Client) -> None:
    with http.stream("POST", STREAM, json=body(ENDLESS)) as answer:
        lines = (json.loads(line) for line in answer.iter_lines() if line)
        record_id = next(lines)["id"]
        assert http.post(f"/v1/extractions/{record_id}/cancel").json()["status"] == "cancelled"
        *_, last = lines
    assert (last["status"], last["streaming_error"]["code"], last["id"]) == ("cancelled", "CANCELLED", record_id)


def test_an_error_after_the_first_byte_is_the_last_line(tmp_path: Path, clock: Clock) -> None:
    service = ExtractionService(settings_for(tmp_path, max_generation_seconds=1e6), open_engine)
    with serving_on(service) as address, httpx.Client(base_url=address, headers={"Api-Key": "x"}) as client:
        with client.stream("POST", STREAM, json=body(ENDLESS), timeout=30) as answer:
            lines = (json.loads(line) for line in answer.iter_lines() if line)
            next(lines)
            clock.ahead = 1e7
            *_, last = lines
        assert last["streaming_error"]["code"] == "GENERATION_TIMEOUT"
        assert (last["status"], last["error"]) == ("failed", last["streaming_error"])
        stored = client.get(f"/v1/extractions/{last['id']}").json()
        assert (stored["status"], stored["error"]["code"]) == ("failed", "GENERATION_TIMEOUT")
        # Where no byte has gone out, the same is an HTTP error, and one that clients do not repeat.
        assert error_of(client.post("/v1/extractions", json=body(ENDLESS), timeout=30)) == (422, "GENERATION_TIMEOUT")
    service.close()


def test_heartbeats_are_blank_lines(tmp_path: Path) -> None:
    service = ExtractionService(settings_for(tmp_path, heartbeat_seconds=0.05), open_engine)
    with serving_on(service) as address, httpx.Client(base_url=address, headers={"Api-Key": "x"}) as client:
        query = {"partials": "false"}
        with client.stream("POST", STREAM, json=body(ENDLESS), params=query) as answer:
            assert next(answer.iter_raw()) == b"\n"
    service.close()


def test_overload_is_429_with_a_time_to_wait(tmp_path: Path) -> None:
    service = ExtractionService(settings_for(tmp_path, max_requests=1), open_engine)
    with serving_on(service) as address, httpx.Client(base_url=address, headers={"Api-Key": "x"}) as client:
        with client.stream("POST", STREAM, json=body(ENDLESS)) as answer:
            pieces = answer.iter_raw()  # kept: where it is dropped, the connection is closed
            next(pieces)
            refused = client.post("/v1/extractions", json=body())
            assert error_of(refused) == (429, "OVERLOADED")
            assert int(refused.headers["retry-after"]) > 0
        until(lambda: client.post("/v1/extractions", json=body()).status_code == 201)
    service.close()


def test_bodies_have_a_cap(tmp_path: Path) -> None:
    service = ExtractionService(settings_for(tmp_path, max_body_bytes=10_000), open_engine)

    def pieces() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * 1000

    with serving_on(service) as address, httpx.Client(base_url=address, headers={"Api-Key": "x"}) as client:
        assert error_of(client.post("/v1/extractions", content=b" " * 10_001)) == (413, "BODY_TOO_LARGE")
        assert error_of(client.post("/v1/extractions", content=pieces())) == (413, "BODY_TOO_LARGE")
    service.close()


def test_idempotency_keys(http: httpx.Client) -> None:
    headers = {"Idempotency-Key": "one"}
    first = http.post("/v1/extractions", json=body(bust_cache=True), headers=headers)
    second = http.post("/v1/extractions", json=body(bust_cache=True), headers=headers)
    assert second.json() == first.json()
    other = http.post("/v1/extractions", json=body(instructions="x"), headers=headers)
    assert error_of(other) == (409, "CONFLICT")
    queued = [
        http.post("/v1/extractions", json=body(background=True), headers={"Idempotency-Key": "two"}).json()["id"]
        for _ in range(2)
    ]
    assert len(set(queued)) == 1


def test_idempotency_keys_of_the_other_routes_that_make_something(http: httpx.Client) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "/v1/parses": {"document": document()},
        "/v1/schemas/generate": {"documents": [document()]},
        "/v1/files/upload": {"filename": "a.txt", "size_bytes": 2},
    }
    for path, asked in bodies.items():
        headers = {"Idempotency-Key": f"key of {path}"}
        first, second = (http.post(path, json=asked, headers=headers) for _ in range(2))
        assert (first.status_code, second.json()) == (201, first.json())
        assert http.post(path, json=asked).json() != first.json()
        changed = http.post(path, json=asked, params={"x": "y"}, headers=headers)
        assert error_of(changed) == (409, "CONFLICT")
    queued = [
        http.post("/v1/parses", json={"document": document(), "background": True}, headers={"Idempotency-Key": "p"})
        for _ in range(2)
    ]
    assert len({answer.json()["id"] for answer in queued}) == 1


def test_an_idempotency_key_of_an_upload_that_expired_begins_another(tmp_path: Path) -> None:
    service = ExtractionService(settings_for(tmp_path, link_seconds=0.001), open_engine)
    with serving_on(service) as address, httpx.Client(base_url=address, headers={"Api-Key": "x"}) as client:
        asked, headers = {"filename": "a.txt", "size_bytes": 2}, {"Idempotency-Key": "k"}
        first, second = (client.post("/v1/files/upload", json=asked, headers=headers).json() for _ in range(2))
        assert first["fileId"] != second["fileId"]
    service.close()


def test_eight_streams_and_thirty_two_mixed_requests_at_once(http: httpx.Client) -> None:
    def streamed(place: int) -> list[dict[str, Any]]:
        return lines_of(http.post(STREAM, json=body(f"Invoice {place}", bust_cache=True)))

    def mixed(place: int) -> int:
        calls = [
            lambda: http.post("/v1/extractions", json=body(f"Number {place}")),
            lambda: http.post("/v1/parses", json={"document": document(f"Text {place}")}),
            lambda: http.get("/v1/extractions", params={"limit": 5}),
            lambda: http.post("/v1/extractions", json=body(f"Later {place}", background=True)),
        ]
        return calls[place % 4]().status_code

    with ThreadPoolExecutor(40) as pool:
        streams = [pool.submit(streamed, place) for place in range(8)]
        statuses = [pool.submit(mixed, place) for place in range(32)]
        for stream in streams:
            lines = stream.result()
            assert lines[-1]["output"] == VALUE
            assert len({line["id"] for line in lines}) == 1
        assert {status.result() for status in statuses} == {200, 201}


def test_documentation_loads_nothing_from_elsewhere(http: httpx.Client) -> None:
    page = http.get("/docs").text
    assert "http://" not in page
    assert "https://" not in page
    assert http.get("/docs/static/swagger-ui-bundle.js").status_code == 200
    described = http.get("/openapi.json").json()
    assert {"/v1/extractions", "/v1/extractions/stream", "/v1/files/upload", "/v1/parses"} <= set(described["paths"])
    assert http.get("/health").json()["status"] == "ok"


def test_a_server_beyond_loopback_needs_a_key(tmp_path: Path) -> None:
    from local_retab.errors import SettingsError
    from local_retab.server.serving import serve

    service = ExtractionService(settings_for(tmp_path), open_engine)
    never = threading.Event()
    with pytest.raises(SettingsError, match="no key is set"):
        serve(service, "0.0.0.0", 0, ready=lambda _address: never.set())
    assert not never.is_set()
    service.close()
