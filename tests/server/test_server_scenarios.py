"""One set of scenarios for the official client over HTTP, the official client in process, and our own clients."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import retab
from scripted_server import ENDLESS, SCHEMA, SILENT, TEXT, TORN, VALUE, data_url, until

import local_retab
from local_retab.errors import LocalRetabError
from local_retab.extraction.partial import extends
from local_retab.service import ExtractionService
from local_retab.transport.sdk import SdkTransport

KINDS = ("official over HTTP", "official in process", "own in process", "own over HTTP")


FILE_ID = f"file_{hashlib.blake2b(TEXT.encode(), digest_size=8).hexdigest()}"


class Scenario:
    """A client, and what differs between the official ones and ours: the names of types and of errors."""

    def __init__(self, client: Any, official: bool) -> None:
        self.client = client
        self.official = official

    def document(self, text: str = TEXT, filename: str = "invoice.txt") -> Any:
        kind = retab.MIMEData if self.official else local_retab.MIMEData
        return kind(filename=filename, url=data_url(text))

    def create(self, text: str = TEXT, filename: str = "invoice.txt", **fields: Any) -> Any:
        return self.client.extractions.create(document=self.document(text, filename), json_schema=SCHEMA, **fields)

    def chunks(self, text: str = TEXT, **fields: Any) -> Iterator[dict[str, Any]]:
        arguments = {"document": self.document(text), "json_schema": SCHEMA, **fields}
        if not self.official:
            with self.client.extractions.create_stream(**arguments) as stream:
                for chunk in stream:
                    yield chunk.model_dump(mode="json")
            return
        prepared = self.client.extractions.prepare_create_stream(**arguments)
        yield from self.client._prepared_request_stream(prepared)

    def status_of(self, error: Exception) -> int:
        return int(getattr(error, "http_status", 0) or getattr(error, "status_code", 0))

    def refused(self, call: Any) -> int:
        """The HTTP status of the error that ``call`` raises."""
        with pytest.raises((LocalRetabError, retab.exceptions.APIError)) as caught:
            call()
        return self.status_of(caught.value)

    def finished(self, extraction_id: str) -> Any:
        until(lambda: text_of(self.client.extractions.get(extraction_id).status) in ENDED)
        return self.client.extractions.get(extraction_id)


ENDED = ("completed", "failed", "cancelled")


def text_of(status: Any) -> str:
    return str(getattr(status, "value", status))


@pytest.fixture(params=KINDS)
def scenario(request: pytest.FixtureRequest, service: ExtractionService, address: str) -> Iterator[Scenario]:
    kind = request.param
    if kind == "own in process":
        # Not closed: the service is shared with the server.
        yield Scenario(local_retab.Retab(transport=service), official=False)
    elif kind == "own over HTTP":
        with local_retab.Retab(service.settings, base_url=address) as own:
            yield Scenario(own, official=False)
    elif kind == "official over HTTP":
        with retab.Retab(api_key="any", base_url=address) as client:
            yield Scenario(client, official=True)
    else:
        with retab.Retab(api_key="any", base_url="http://local-retab") as client:
            client.client.close()
            client.client = httpx.Client(transport=SdkTransport(service=service), timeout=None)
            yield Scenario(client, official=True)


def test_create_returns_the_finished_extraction(scenario: Scenario) -> None:
    found = scenario.create(metadata={"batch": "7"}, instructions="carefully")
    assert found.id.startswith("extr_")
    assert (found.output, text_of(found.status), found.error) == (VALUE, "completed", None)
    assert (found.file.id, found.file.filename, found.file.mime_type) == (FILE_ID, "invoice.txt", "text/plain")
    assert (found.model, found.json_schema, found.n_consensus) == ("retab-small", SCHEMA, 1)
    assert (found.metadata, found.instructions) == ({"batch": "7"}, "carefully")
    assert (found.consensus.choices, found.consensus.likelihoods) == ([], None)
    assert found.created_at.tzinfo is not None
    assert scenario.client.extractions.get(found.id) == found


def test_a_stream_grows_to_the_stored_extraction(scenario: Scenario) -> None:
    chunks = list(scenario.chunks(bust_cache=True))
    # Over HTTP a snapshot that nobody has taken yet gives way to the next.
    assert len(chunks) >= 2
    assert {chunk["id"] for chunk in chunks} == {chunks[0]["id"]}
    assert [chunk["status"] for chunk in chunks] == ["in_progress"] * (len(chunks) - 1) + ["completed"]
    numbers = [chunk["output"].get("number", "") for chunk in chunks]
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(numbers))
    assert chunks[-1]["output"] == VALUE
    assert scenario.client.extractions.get(chunks[-1]["id"]).output == VALUE


def test_the_same_request_again_is_answered_from_the_cache(scenario: Scenario) -> None:
    text = f"{TEXT} for {id(scenario)}"
    first, second = scenario.create(text), scenario.create(text)
    assert second.id != first.id
    assert second.output == first.output
    assert len(list(scenario.chunks(text))) == 1
    assert len(list(scenario.chunks(text, bust_cache=True))) > 1


def test_lists_filter_and_page(scenario: Scenario) -> None:
    mark = {"run": str(id(scenario))}
    made = [scenario.create(filename=f"Ünvoice{place}.txt", metadata=mark).id for place in range(3)]
    filters: dict[str, Any] = {"metadata": mark}
    if scenario.official:
        filters["metadata"] = f'{{"run": "{mark["run"]}"}}'
    listing = scenario.client.extractions.list
    assert [item.id for item in listing(**filters)] == made[::-1]
    assert [item.id for item in listing(order="asc", limit=2, **filters)] == made
    first = listing(limit=2, **filters)
    assert ([item.id for item in first.data], first.has_more) == (made[:0:-1], True)
    second = listing(limit=2, after=first.list_metadata.after, **filters)
    assert ([item.id for item in second.data], second.has_more) == (made[:1], False)
    back = listing(limit=2, before=second.list_metadata.before, **filters)
    assert [item.id for item in back.data] == made[:0:-1]
    assert [item.id for item in listing(filename="ünvoice1", **filters)] == [made[1]]
    assert [item.id for item in listing(filename_contains="VOICE2", **filters)] == [made[2]]
    assert len(listing(document_type=["txt", "pdf"], status="completed", **filters).data) == 3
    assert len(listing(document_type=["pdf"], **filters).data) == 0
    today = first.data[0].created_at.date().isoformat()
    assert len(listing(from_date=today, to_date=today, **filters).data) == 3
    assert len(listing(from_date="2099-01-01", **filters).data) == 0


def test_deleted_is_gone(scenario: Scenario) -> None:
    found = scenario.create()
    scenario.client.extractions.delete(found.id)
    assert scenario.refused(lambda: scenario.client.extractions.get(found.id)) == 404
    assert scenario.refused(lambda: scenario.client.extractions.delete(found.id)) == 404
    assert scenario.refused(lambda: scenario.client.extractions.create_extraction_cancel("extr_none")) == 404


def test_in_the_background(scenario: Scenario) -> None:
    begun = scenario.create(f"{TEXT} later, {id(scenario)}", background=True)
    assert (text_of(begun.status), begun.output, begun.error) == ("queued", {}, None)
    done = scenario.finished(begun.id)
    assert (text_of(done.status), done.output) == ("completed", VALUE)
    without = scenario.client.extractions.get(begun.id, include_output=False)
    assert (without.output, text_of(without.status)) == ({}, "completed")
    assert text_of(scenario.client.extractions.create_extraction_cancel(begun.id).status) == "completed"


def test_cancel_in_progress(scenario: Scenario) -> None:
    begun = scenario.create(ENDLESS, background=True)
    until(lambda: text_of(scenario.client.extractions.get(begun.id).status) == "in_progress")
    stopped = scenario.client.extractions.create_extraction_cancel(begun.id)
    assert (text_of(stopped.status), stopped.output, stopped.error) == ("cancelled", {}, None)
    assert text_of(scenario.finished(begun.id).status) == "cancelled"


def test_requests_that_are_refused(scenario: Scenario) -> None:
    assert scenario.refused(lambda: scenario.create(background=True, stream=True)) == 422
    assert scenario.refused(lambda: scenario.create(n_consensus=17)) == 422
    assert scenario.refused(lambda: scenario.create(model="no-such-model")) == 404
    schema = {"type": "nonsense"}
    call = scenario.client.extractions.create
    assert scenario.refused(lambda: call(document=scenario.document(), json_schema=schema)) == 422
    remote = type(scenario.document())(filename="a.pdf", url="https://bucket.s3.amazonaws.com/a.pdf")
    assert scenario.refused(lambda: call(document=remote, json_schema=SCHEMA)) == 422
    assert scenario.refused(lambda: scenario.create(" ", filename="blank.txt")) == 422


def test_parses(scenario: Scenario) -> None:
    text = "Items\n\nname   price\nbolt   1.50\nnut    0.25"
    parses = scenario.client.parses
    made = parses.create(document=scenario.document(text), table_parsing_format="markdown")
    table = "| name | price |\n| --- | --- |\n| bolt | 1.50 |\n| nut | 0.25 |"
    assert made.id.startswith("prs_")
    assert (made.output.pages, made.output.text) == ([f"Items\n\n{table}"], f"Items\n\n{table}")
    assert parses.get(made.id) == made
    assert text_of(parses.cancel(made.id).status) == "completed"
    assert made.id in [item.id for item in parses.list(limit=100).data]
    parses.delete(made.id)
    assert scenario.refused(lambda: parses.get(made.id)) == 404


def test_a_generated_schema_can_be_used(scenario: Scenario) -> None:
    made = scenario.client.schemas.generate(documents=[scenario.document()])
    assert (made.id[:4], text_of(made.status)) == ("sch_", "completed")
    assert list(made.json_schema["properties"]) == ["total", "lines"]
    call = scenario.client.extractions.create
    assert set(call(document=scenario.document(), json_schema=made.json_schema).output) == {"total", "lines"}


def test_sources(scenario: Scenario) -> None:
    made = scenario.create()
    sources = scenario.client.extractions.sources
    found = sources.get(made.id)
    assert (found.extraction_id, text_of(found.document_type), found.extraction) == (made.id, "txt", VALUE)
    assert set(found.sources["total"]) == {"value", "source"}
    job = sources.create(made.id).job
    assert (text_of(job.status), text_of(job.mode)) == ("completed", "located")
    again = sources.create(made.id, job_id=job.id)
    assert again.sources == found.sources
    assert scenario.refused(lambda: sources.get(made.id, job_id="job_stale")) == 409
    assert scenario.refused(lambda: sources.get("extr_none")) == 404


def test_cited_sources_of_an_extraction_made_without(scenario: Scenario) -> None:
    made = scenario.create(f"{TEXT}\nfor {id(scenario)}")
    sources = scenario.client.extractions.sources
    found = sources.create(made.id, mode="cited")
    assert (text_of(found.job.mode), text_of(found.job.status), found.job.revision) == ("cited", "completed", 1)
    assert (found.extraction, found.file.id) == (VALUE, made.file.id)
    total = found.sources["total"]
    assert (total["value"], total["source"]["content"]) == (12.5, "12.50")
    assert (total["source"]["anchor"]["kind"], total["source"]["file_id"]) == ("text_span", made.file.id)
    assert found.sources["number"] == {"value": VALUE["number"], "source": None}
    status = {
        path: text_of(leaf["status"] if isinstance(leaf, dict) else leaf.status)
        for path, leaf in found.evidence.items()
    }
    assert status == {"number": "missing", "total": "matched"}
    again = sources.get(made.id, mode="cited", job_id=found.job.id)
    assert (again.sources, again.job) == (found.sources, found.job)
    located = sources.get(made.id)
    assert (text_of(located.job.mode), located.sources["total"]["source"]["content"]) == ("located", "12.50")
    # The second run is nobody's extraction: it is in no list.
    assert scenario.client.extractions.list(limit=1).data[0].id == made.id
    cited = scenario.create(f"{TEXT}\nfor {id(scenario)}", sources={"mode": "cited"})
    assert sources.get(cited.id, mode="cited").sources == found.sources


def test_votes(scenario: Scenario) -> None:
    found = scenario.create(TORN, n_consensus=9, bust_cache=True)
    assert (found.n_consensus, len(found.consensus.choices), found.consensus.choices[0]) == (9, 9, VALUE)
    totals = [choice["total"] for choice in found.consensus.choices]
    assert set(totals) == {12.5, 13.5}
    assert found.output == {**VALUE, "total": max(set(totals), key=totals.count)}
    agreeing = sum(math.comb(totals.count(total), 2) for total in set(totals)) / math.comb(9, 2)
    assert found.consensus.likelihoods == {"number": 1.0, "total": pytest.approx(agreeing)}
    assert scenario.client.extractions.get(found.id) == found


def test_streams_of_votes_show_what_the_votes_agree_on(scenario: Scenario) -> None:
    chunks = list(scenario.chunks(TORN, n_consensus=3, bust_cache=True))
    outputs = [chunk["output"] for chunk in chunks]
    assert all(extends(later, earlier) for earlier, later in itertools.pairwise(outputs))
    assert (chunks[-1]["n_consensus"], len(chunks[-1]["consensus"]["choices"])) == (3, 3)
    begun = scenario.create(f"{TEXT}, {id(scenario)} votes", n_consensus=3, background=True)
    done = scenario.finished(begun.id)
    assert (done.consensus.choices, done.consensus.likelihoods) == ([VALUE] * 3, {"number": 1.0, "total": 1.0})


def test_what_is_not_stated_is_null_where_that_is_asked_for(scenario: Scenario) -> None:
    # The official client sends what it does not know in the query.
    text = f"{SILENT}, total 12.50"
    found = scenario.create(text, absent="null")
    assert (found.output, found.json_schema) == ({**VALUE, "number": None}, SCHEMA)
    last = list(scenario.chunks(text, absent="null", n_consensus=2, bust_cache=True))[-1]
    assert (last["output"], last["absent"]) == ({**VALUE, "number": None}, ["/number"])
    assert last["consensus"]["likelihoods"]["number"] == 1.0


def test_consensus(scenario: Scenario) -> None:
    votes = [{"total": 1, "name": "a"}, {"total": 1, "name": "b"}, {"total": 2, "name": "b"}]
    found = scenario.client.consensus.create(inputs=votes, include_alignment=True)
    assert found.consensus == {"total": 1, "name": "b"}
    assert set(found.likelihoods) == {"total", "name"}
    assert all(0 < value < 1 for value in found.likelihoods.values())
    one = scenario.client.consensus.create(inputs=votes[:1])
    assert (one.consensus, set(one.likelihoods.values())) == (votes[0], {1.0})
