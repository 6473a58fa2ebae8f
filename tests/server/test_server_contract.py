"""Statements of the wire contract that no scenario shows, in its order; docs/server.md says which test shows which."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from scripted_server import (
    ENDLESS,
    SCHEMA,
    TEXT,
    VALUE,
    body,
    data_url,
    document,
    open_engine,
    serving_on,
    settings_for,
    until,
)

from local_retab.server.listing import DOCUMENT_TYPES
from local_retab.service import ExtractionService

EXTRACTIONS = "/v1/extractions"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["detail"]["code"]


def made(http: httpx.Client, **fields: Any) -> dict[str, Any]:
    answer = http.post(EXTRACTIONS, json=body(**fields))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def upload(http: httpx.Client, data: bytes, filename: str, **announced: Any) -> tuple[dict[str, Any], httpx.Response]:
    """The announced upload, and the answer to its completion."""
    asked = {"filename": filename, "size_bytes": len(data), **announced}
    answer = http.post("/v1/files/upload", json=asked)
    assert answer.status_code == 201
    begun: dict[str, Any] = answer.json()
    sent = httpx.put(begun["uploadUrl"], content=data, headers=begun["uploadHeaders"])
    assert sent.status_code == 200
    return begun, http.post(f"/v1/files/upload/{begun['fileId']}/complete", json={})


def test_errors_have_the_form_that_every_client_reads(http: httpx.Client) -> None:
    answer = http.get(f"{EXTRACTIONS}/extr_none")
    values = answer.json()
    assert set(values) == {"detail", "message"}
    assert set(values["detail"]) == {"code", "message", "details"}
    assert isinstance(values["message"], str)
    assert "error" not in values["detail"]["details"]


def test_bodies_and_content_types_of_every_client(http: httpx.Client) -> None:
    record = made(http)["id"]
    # Python: a content type on everything, and no body; Go: {} on all but GET; .NET: a charset.
    json_type = {"Content-Type": "application/json"}
    assert http.get(f"{EXTRACTIONS}/{record}", headers=json_type).status_code == 200
    assert http.post(f"{EXTRACTIONS}/{record}/cancel", headers=json_type).status_code == 200
    assert http.post(f"{EXTRACTIONS}/{record}/cancel").status_code == 200
    assert http.post(f"{EXTRACTIONS}/{record}/cancel", content=b"{}").json()["status"] == "completed"
    answer = http.request("DELETE", f"{EXTRACTIONS}/{record}", content=b"{}", headers=json_type)
    assert (answer.status_code, answer.content) == (204, b"")
    charset = {"Content-Type": "application/json; charset=utf-8"}
    content = httpx.Request("POST", "http://x", json=body()).read()
    assert http.post(EXTRACTIONS, content=content, headers=charset).status_code == 201


@pytest.mark.parametrize(("text", "output"), [("false", {}), ("False", {}), ("0", {}), ("1", VALUE), ("True", VALUE)])
def test_booleans_of_every_client(http: httpx.Client, text: str, output: dict[str, Any]) -> None:
    found = http.get(f"{EXTRACTIONS}/{made(http)['id']}", params={"include_output": text}).json()
    assert found["output"] == output
    assert (found["file"]["filename"], found["model"], found["json_schema"]) == ("invoice.txt", "retab-small", SCHEMA)


@pytest.mark.parametrize(
    ("sent", "mime_type"),
    [
        ({"filename": "a.txt", "url": "data:text/plain;charset=utf-8;base64,aGVs bG8=\n"}, "text/plain"),
        ({"filename": "a.csv", "url": "data:application/octet-stream;base64,YSxiCjEsMgo="}, "text/csv"),
        ({"filename": "a.txt", "url": "data:,hello"}, "text/plain"),
        ({"content": "aGVsbG8=", "mime_type": "text/plain"}, "text/plain"),
    ],
)
def test_forms_of_inline_documents(http: httpx.Client, sent: dict[str, str], mime_type: str) -> None:
    assert made(http, document=sent)["file"]["mime_type"] == mime_type


@pytest.mark.parametrize(
    "sent",
    [
        {"filename": "a.txt", "url": "data:text/plain;base64,"},
        {"filename": "a.exe", "url": data_url(b"MZ\x90\x00" + bytes(60), "application/octet-stream")},
        {"filename": "a.mp3", "url": data_url(b"ID3\x03" + bytes(60), "audio/mpeg")},
        {"filename": "a.pdf", "url": "gs://bucket/a.pdf"},
        {"filename": "a.pdf", "url": "http://192.168.0.1/a.pdf"},
    ],
)
def test_documents_that_are_refused_before_the_first_byte(http: httpx.Client, sent: dict[str, str]) -> None:
    assert http.post(f"{EXTRACTIONS}/stream", json=body(document=sent)).status_code == 422


def test_an_extraction_has_every_field(http: httpx.Client) -> None:
    schema = {**SCHEMA, "X-SystemPrompt": "Be exact."}
    found = made(http, json_schema=schema, metadata={"a": "b"}, instructions="carefully")
    assert set(found) >= {
        "id", "file", "model", "json_schema", "output", "n_consensus", "instructions", "status", "error", "consensus",
        "metadata", "usage", "created_at",
    }  # fmt: skip
    assert (found["error"], found["consensus"]) == (None, {"choices": [], "likelihoods": None})
    assert found["json_schema"] == schema
    assert isinstance(found["usage"]["credits"], float)
    assert MOMENT.fullmatch(found["created_at"])
    assert set(found["file"]) == {"id", "filename", "mime_type"}


def test_models_of_the_hosted_service_are_echoed(http: httpx.Client) -> None:
    for name in ("retab-small", "auto-small"):
        assert made(http, model=name)["model"] == name
    assert code_of(http.post(EXTRACTIONS, json=body(model="gpt-4o"))) == (404, "MODEL_NOT_FOUND")


@pytest.mark.parametrize("kind", sorted(DOCUMENT_TYPES))
def test_every_document_type_can_be_listed(http: httpx.Client, kind: str) -> None:
    assert http.get(EXTRACTIONS, params={"document_type": kind}).status_code == 200


def test_pages_that_are_empty(http: httpx.Client) -> None:
    for query in ({"from_date": "2099-01-01"}, {"from_date": "2024-02-02", "to_date": "2024-01-01"}):
        answer = http.get(EXTRACTIONS, params=query)
        assert answer.json() == {"data": [], "list_metadata": {"before": None, "after": None}}
    same = {"from_date": "2024-02-02", "to_date": "2024-02-02"}
    assert http.get(EXTRACTIONS, params=same).status_code == 200


def test_what_waits_can_be_cancelled(tmp_path: Path) -> None:
    service = ExtractionService(settings_for(tmp_path, max_sequences=1), open_engine)
    with serving_on(service) as address, httpx.Client(base_url=address, headers={"Api-Key": "x"}, timeout=30) as client:
        first, second = (client.post(EXTRACTIONS, json=body(ENDLESS, background=True)).json() for _ in range(2))
        until(lambda: client.get(f"{EXTRACTIONS}/{first['id']}").json()["status"] == "in_progress")
        assert client.get(f"{EXTRACTIONS}/{second['id']}").json()["status"] == "queued"
        for _ in range(2):
            stopped = client.post(f"{EXTRACTIONS}/{second['id']}/cancel").json()
            assert (stopped["status"], stopped["output"], stopped["error"]) == ("cancelled", {}, None)
        client.post(f"{EXTRACTIONS}/{first['id']}/cancel")
        until(lambda: service._parts.running._background == {})
        assert client.get(f"{EXTRACTIONS}/{second['id']}").json()["status"] == "cancelled"
    service.close()


def test_consensus_over_the_wire(http: httpx.Client) -> None:
    votes = [{"n": 2, "x": 10.0}, {"n": 2, "x": 10.0}, {"n": 3, "x": 99.0}]
    kinds = {"n": {"type": "integer"}, "x": {"type": "number"}}
    asked = {"inputs": votes, "json_schema": {"type": "object", "properties": kinds, "required": ["n", "x"]}}
    found = http.post("/v1/consensus", json=asked).json()
    assert found["consensus"] == {"n": 2, "x": 10.0}
    assert set(found["likelihoods"]) == {"n", "x"}
    assert set(found["alignment"]) == {"aligned_inputs", "path_alignments", "reference_index"}
    assert (found["alignment"]["aligned_inputs"], found["alignment"]["path_alignments"]) == (None, None)
    (first, _) = found["fields"]
    assert set(first) == {"path", "value", "likelihood", "supporting_input_count", "total_input_count"}
    assert (first["supporting_input_count"], first["total_input_count"]) == (2, 3)
    assert http.post("/v1/consensus", json={"inputs": []}).status_code == 422


def test_the_life_of_an_upload(http: httpx.Client) -> None:
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    begun, completed = upload(http, TEXT.encode(), "invoice.txt", sha256=digest, content_type="text/plain")
    assert set(begun) == {"fileId", "uploadUrl", "uploadMethod", "uploadHeaders", "mimeData", "expiresAt"}
    assert (begun["uploadMethod"], begun["uploadUrl"][:4]) == ("PUT", "http")
    assert MOMENT.fullmatch(begun["expiresAt"])
    file_id = begun["fileId"]
    reference = {"filename": "invoice.txt", "url": f"https://storage.retab.com/local/{file_id}.txt"}
    assert (completed.status_code, completed.json()) == (200, reference)
    file = http.get(f"/v1/files/{file_id}").json()
    assert (file["object"], file["id"], file["filename"], file["page_count"]) == ("file", file_id, "invoice.txt", None)
    link = http.get(f"/v1/files/{file_id}/download-link").json()
    assert (link["expires_in"], link["filename"], link["mime_data"]) == ("60 minutes", "invoice.txt", reference)
    assert httpx.get(link["download_url"]).content == TEXT.encode()
    assert httpx.get(link["download_url"].replace("signature=", "signature=0")).status_code == 403
    forms = (reference["url"], f"https://storage.retab.com/{file_id}", link["download_url"])
    for url in forms:
        found = made(http, document={"filename": "invoice.txt", "url": url})
        assert (found["output"], found["file"]["id"]) == (VALUE, file_id)
    assert made(http, document={"id": file_id})["file"]["filename"] == "invoice.txt"
    gone = body(document={"filename": "a.txt", "url": "https://storage.retab.com/local/file_none.txt"})
    assert code_of(http.post(EXTRACTIONS, json=gone)) == (404, "FILE_NOT_FOUND")


def test_storage_does_not_look_into_files(http: httpx.Client) -> None:
    begun, completed = upload(http, b"%PDF-1.4\nnothing more", "noextension")
    assert completed.json()["url"].endswith(f"/{begun['fileId']}.bin")
    assert http.get(f"/v1/files/{begun['fileId']}").json()["page_count"] is None


def test_a_client_that_overrides_the_upload_headers(http: httpx.Client) -> None:
    begun = http.post("/v1/files/upload", json={"filename": "a.txt", "size_bytes": 2}).json()
    sent = httpx.put(begun["uploadUrl"], content=b"hi", headers={"Content-Type": "application/x-other"})
    assert sent.status_code == 200


def test_uploads_that_are_refused(http: httpx.Client, tmp_path: Path) -> None:
    announced = {"filename": "a.txt", "size_bytes": 2}
    assert http.post("/v1/files/upload", json={**announced, "sha256": ""}).status_code == 422
    assert http.post("/v1/files/upload/file_none/complete", json={}).status_code == 404
    for data, more in ((b"hi", {"sha256": "0" * 64}), (b"hi", {"size_bytes": 3})):
        _, completed = upload(http, data, "a.txt", **more)
        assert code_of(completed) == (422, "UPLOAD_MISMATCH")
    begun = http.post("/v1/files/upload", json=announced).json()
    wrong = http.post(f"/v1/files/upload/{begun['fileId']}/complete", json={"sha256": "0" * 64})
    assert wrong.status_code == 422
    service = ExtractionService(settings_for(tmp_path, link_seconds=0.001), open_engine)
    with serving_on(service) as address, httpx.Client(base_url=address, headers={"Api-Key": "x"}) as client:
        begun = client.post("/v1/files/upload", json=announced).json()
        assert httpx.put(begun["uploadUrl"], content=b"hi").status_code == 410
        assert client.post(f"/v1/files/upload/{begun['fileId']}/complete", json={}).status_code == 410
    service.close()


def test_lists_of_files(http: httpx.Client) -> None:
    begun, _ = upload(http, b"a,b\n1,2\n", "Ünique.csv", content_type="text/csv")
    assert set(http.get("/v1/files", params={"limit": 1}).json()) == {"data", "list_metadata"}
    for query in (
        {"filename": "ünique"},
        {"mime_type": "text/csv", "sort_by": "updated_at"},
        {"filename": "Ünique.csv", "include_embeddings": "true", "from_date": "2024-01-01"},
    ):
        ids = [file["id"] for file in http.get("/v1/files", params=query).json()["data"]]
        assert begun["fileId"] in ids
    assert http.get("/v1/files", params={"filename": "nique"}).json()["data"] == []
    # What came with a request is a file too.
    inline = made(http, document=document(b"inline and new"))["file"]["id"]
    assert http.get(f"/v1/files/{inline}").json()["mime_type"] == "text/plain"
    assert base64.b16encode(hashlib.blake2b(b"inline and new", digest_size=8).digest()).decode().lower() == inline[5:]
