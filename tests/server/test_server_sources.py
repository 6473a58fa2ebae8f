"""Cited sources that are asked for afterwards: a durable job over HTTP, and how it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
from scripted_server import ENDLESS_QUOTING, TEXT, VALUE, Clock, body, open_engine, serving_on, settings_for, until

from local_retab.service import ExtractionService


def made(http: httpx.Client, text: str, **fields: Any) -> dict[str, Any]:
    answer = http.post("/v1/extractions", json=body(text, **fields))
    assert answer.status_code == 201
    found: dict[str, Any] = answer.json()
    return found


def sources_of(found: dict[str, Any]) -> str:
    return f"/v1/extractions/{found['id']}/sources"


def test_in_the_background_it_is_accepted_and_goes_with_its_extraction(
    http: httpx.Client, service: ExtractionService
) -> None:
    found = made(http, ENDLESS_QUOTING)
    answer = http.post(sources_of(found), json={"mode": "cited", "background": True})
    assert answer.status_code == 202
    job = answer.json()["job"]
    assert (job["status"] in ("pending", "running"), job["error"], job["revision"]) == (True, None, 1)
    assert answer.headers["location"] == f"{sources_of(found)}?mode=cited&job_id={job['id']}"
    assert answer.json()["sources"] == {name: {"value": value, "source": None} for name, value in VALUE.items()}
    assert {leaf["status"] for leaf in answer.json()["evidence"].values()} == {"pending"}
    joined = http.post(sources_of(found), json={"mode": "cited", "background": True}).json()["job"]
    assert (joined["id"], joined["revision"]) == (job["id"], 1)
    until(lambda: service.extractions.get(job["id"]).status == "in_progress")
    assert http.post(sources_of(found), json={"mode": "cited", "job_id": "job_other"}).status_code == 409
    assert http.delete(f"/v1/extractions/{found['id']}").status_code == 204
    assert http.get(sources_of(found), params={"mode": "cited"}).status_code == 404
    assert http.get(f"/v1/extractions/{job['id']}").status_code == 404
    until(lambda: service._parts.running._runs.get(job["id"]) is None)


def test_what_was_accepted_is_found_in_time(http: httpx.Client) -> None:
    found = made(http, f"{TEXT}\naccepted")
    assert http.post(sources_of(found), json={"mode": "cited", "background": True}).status_code == 202
    # A plain request waits for the job.
    answer = http.get(sources_of(found), params={"mode": "ExtractionSourcesMode.CITED"})
    assert (answer.status_code, answer.json()["job"]["status"]) == (200, "completed")
    assert answer.json()["sources"]["total"]["source"]["content"] == "12.50"


def test_a_job_that_failed_says_why_and_can_be_tried_again(tmp_path: Path, clock: Clock) -> None:
    service = ExtractionService(settings_for(tmp_path, max_generation_seconds=1e6), open_engine)
    with serving_on(service) as address, httpx.Client(base_url=address, headers={"Api-Key": "x"}, timeout=30) as client:
        found = made(client, ENDLESS_QUOTING)
        clock.ahead = 1e7
        for revision, retry in ((1, False), (1, False), (2, True)):
            answer = client.post(sources_of(found), json={"mode": "cited", "retry": retry})
            job = answer.json()["job"]
            assert (answer.status_code, job["status"], job["revision"]) == (200, "error", revision)
            assert (job["error"]["code"], job["error"]["is_retryable"]) == ("GENERATION_TIMEOUT", False)
        assert {leaf["status"] for leaf in answer.json()["evidence"].values()} == {"error"}
    service.close()


def test_the_document_must_still_be_kept(http: httpx.Client) -> None:
    found = made(http, f"{TEXT}\nthat is deleted")
    assert http.delete(f"/v1/files/{found['file']['id']}").status_code == 204
    answer = http.get(sources_of(found), params={"mode": "cited"})
    assert (answer.status_code, answer.json()["detail"]["code"]) == (404, "FILE_NOT_FOUND")


def test_a_mode_that_is_none(http: httpx.Client) -> None:
    found = made(http, TEXT)
    assert http.get(sources_of(found), params={"mode": "guessed"}).status_code == 422
    assert http.post(sources_of(found), json={"mode": "guessed"}).status_code == 422


def test_outputs_that_are_no_objects_have_sources_too(http: httpx.Client) -> None:
    schema = {"type": "array", "items": {"type": "number"}}
    found = made(http, f"{TEXT}\nin a list", json_schema=schema)
    for mode in ("located", "cited"):
        answer = http.get(sources_of(found), params={"mode": mode})
        assert (answer.status_code, answer.json()["extraction"]) == (200, [12.5])
