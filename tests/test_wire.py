"""The wire contract: what the hosted clients send, and what they cannot do without."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from local_retab.wire import (
    Extraction,
    ExtractionChunk,
    ExtractionParameters,
    ExtractionRequest,
    FileRef,
    MIMEData,
    SourcesRequest,
    Usage,
    now,
)

SCHEMA = {"type": "object", "X-SystemPrompt": "kept"}
FILE = FileRef(id="file_6dd6eb00688ad8d1", filename="a.pdf", mime_type="application/pdf")


def extraction(**fields: Any) -> Extraction:
    values: dict[str, Any] = {"id": "extr_1", "file": FILE, "model": "retab-small", "output": {}, "created_at": now()}
    return Extraction(**{**values, "json_schema": SCHEMA, **fields})


class TestRequests:
    BODY: ClassVar[dict[str, Any]] = {"document": {"filename": "a.pdf", "url": "data:,x"}, "json_schema": SCHEMA}

    def test_the_least(self) -> None:
        request = ExtractionRequest(**self.BODY)
        assert request.model_dump(exclude={"document", "json_schema"}) == {
            "model": "retab-small",
            "instructions": None,
            "n_consensus": 1,
            "metadata": None,
            "additional_messages": None,
            "bust_cache": False,
            "stream": False,
            "background": False,
            "image_resolution_dpi": 192,
            "chunking_keys": None,
            "deep_extraction": None,
            "sources": None,
            "pages": None,
            "attachments": False,
            "absent": None,
            "modality": None,
            "image_min_tokens": None,
            "image_max_tokens": None,
        }

    @pytest.mark.parametrize("name", sorted(ExtractionParameters.model_fields.keys() - {"json_schema"}))
    def test_null_is_absent(self, name: str) -> None:
        assert ExtractionRequest(**self.BODY, **{name: None}) == ExtractionRequest(**self.BODY)

    @pytest.mark.parametrize("name", ["document", "json_schema"])
    def test_what_has_to_be_there(self, name: str) -> None:
        for body in ({**self.BODY, name: None}, {key: self.BODY[key] for key in self.BODY if key != name}):
            with pytest.raises(ValidationError, match=name):
                ExtractionRequest(**body)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("n_consensus", 0),
            ("n_consensus", 17),
            ("n_consensus", "two"),
            ("image_resolution_dpi", 95),
            ("image_resolution_dpi", 301),
            ("metadata", {"a": 1}),
            ("metadata", {"a": None}),
            ("model", ""),
            ("model", 5),
            ("json_schema", "text"),
            ("document", {"url": "data:,x"}),
            ("document", {"filename": "", "url": "data:,x"}),
            ("sources", {"mode": "other"}),
            ("additional_messages", [1]),
            ("bust_cache", "perhaps"),
            ("temperature", 0),
        ],
    )
    def test_what_is_wrong_is_refused(self, name: str, value: object) -> None:
        with pytest.raises(ValidationError, match=name):
            ExtractionRequest(**{**self.BODY, name: value})

    def test_a_misspelt_field_of_a_part_is_refused(self) -> None:
        with pytest.raises(ValidationError):
            MIMEData(filename="a", url="b", mime="c")  # type: ignore[call-arg]
        with pytest.raises(ValidationError):
            SourcesRequest(mode="cited", colour="red")  # type: ignore[call-arg]

    def test_it_is_frozen(self) -> None:
        with pytest.raises(ValidationError):
            ExtractionRequest(**self.BODY).model = "other"  # type: ignore[misc]


class TestExtractions:
    """CONTRACT 3.4."""

    def test_every_field_of_the_contract_is_on_the_wire(self) -> None:
        body = json.loads(extraction().model_dump_json())
        contract = {
            "id", "file", "model", "json_schema", "output", "n_consensus", "instructions", "status", "error",
            "consensus", "metadata", "usage", "created_at",
        }  # fmt: skip
        assert contract <= body.keys()
        assert body["file"] == {"id": FILE.id, "filename": "a.pdf", "mime_type": "application/pdf"}
        assert body["json_schema"] == SCHEMA
        assert body["output"] == {}
        assert body["n_consensus"] == 1
        assert body["status"] == "completed"
        assert body["error"] is None
        assert body["consensus"] == {"choices": [], "likelihoods": None}
        assert body["usage"]["credits"] == 0.0

    @pytest.mark.parametrize("name", ["id", "file", "model", "json_schema", "output", "created_at"])
    def test_what_typed_clients_require_cannot_be_left_out(self, name: str) -> None:
        body = extraction().model_dump()
        del body[name]
        with pytest.raises(ValidationError, match=name):
            Extraction.model_validate(body)

    @pytest.mark.parametrize("name", ["instructions", "error", "consensus", "metadata", "usage"])
    def test_what_may_be_null(self, name: str) -> None:
        assert getattr(Extraction.model_validate({**extraction().model_dump(), name: None}), name) is None

    def test_a_status_that_no_client_knows_is_refused(self) -> None:
        for status in ("pending", "queued", "in_progress", "completed", "failed", "cancelled"):
            assert extraction(status=status).status == status
        with pytest.raises(ValidationError):
            extraction(status="done")

    def test_fields_of_a_later_contract_are_ignored(self) -> None:
        body = {**extraction().model_dump(), "organization_id": "org", "file": {**FILE.model_dump(), "pages": 3}}
        assert Extraction.model_validate(body) == extraction(created_at=body["created_at"])

    def test_it_travels_there_and_back(self) -> None:
        sent = extraction(
            output={"é": [1, 2.5, None, {"deep": True}]},
            metadata={"a": "b"},
            usage=Usage(prompt_tokens=3),
            status="failed",
            error={"code": "GENERATION_FAILED", "message": "no", "details": {"n": 1}},
            notices=[{"code": "STRING_LIMIT_REACHED", "path": "/é", "message": "cut"}],
        )
        assert Extraction.model_validate_json(sent.model_dump_json()) == sent

    def test_the_last_chunk_of_a_stream_is_a_chunk_too(self) -> None:
        chunk = ExtractionChunk.model_validate(extraction().model_dump())
        assert chunk.model_dump().items() <= extraction(created_at=chunk.created_at).model_dump().items()

    def test_times_have_an_offset_and_whole_seconds(self) -> None:
        moment = now()
        assert moment.tzinfo is UTC
        assert abs((datetime.now(UTC) - moment).total_seconds()) < 60
        text = json.loads(extraction(created_at=moment).model_dump_json())["created_at"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text)
