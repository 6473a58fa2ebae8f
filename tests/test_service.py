"""The service: ids, models in memory, and how the engine is set up for a machine."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_backend import ScriptedBackend
from scripted_service import DOCUMENT, SCHEMA, ScriptedService

from local_retab.documents import load
from local_retab.engine import hardware, llama
from local_retab.engine.vision import VisionLimits
from local_retab.errors import (
    FeatureNotAvailableError,
    ModelLoadError,
    ModelNotFoundError,
    RequestError,
    UnsupportedSchemaError,
)
from local_retab.service import ExtractionService, identifiers
from local_retab.service.identifiers import base32, new_id
from local_retab.settings import Settings
from local_retab.wire import ExtractionParameters


def test_ids_have_the_hosted_form_and_are_never_the_same() -> None:
    ids = {new_id("extr") for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"extr_[0-9A-HJKMNP-TV-Z]{26}", made) for made in ids)


def test_ids_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for milliseconds in (1, 31, 32, 1_700_000_000_000, 1_700_000_000_001, 32**9):
        monkeypatch.setattr(identifiers.time, "time_ns", lambda: milliseconds * 1_000_000)  # noqa: B023
        made.append(new_id("extr"))
    assert made == sorted(made)


def test_numbers_in_crockfords_base_32() -> None:
    assert base32(0, 3) == "000"
    assert base32(31, 2) == "0Z"
    assert base32(32, 2) == "10"
    assert base32(32**3 - 1, 3) == "ZZZ"


class TestRequests:
    """What is wrong with a request is told when it is made, before a model is loaded or a page is read."""

    @pytest.mark.parametrize(
        ("error", "fields"),
        [
            (FeatureNotAvailableError, {"deep_extraction": True, "sources": {"mode": "cited"}}),
            (RequestError, {"chunking_keys": {"lines": "number"}}),
            (UnsupportedSchemaError, {"json_schema": {"type": "string", "pattern": "(?<"}}),
            (ModelNotFoundError, {"model": "nothing"}),
        ],
    )
    def test_errors_come_at_once(self, tmp_path: Path, error: type[Exception], fields: dict[str, Any]) -> None:
        service = ScriptedService(tmp_path)
        document = load(DOCUMENT, settings=service.settings)
        with pytest.raises(error):
            service.stream(document, ExtractionParameters(**{"json_schema": SCHEMA, **fields}))
        assert not service.backends

    def test_nothing_is_loaded_before_the_first_chunk(self, tmp_path: Path) -> None:
        service = ScriptedService(tmp_path)
        document = load(DOCUMENT, settings=service.settings)
        run = service.stream(document, ExtractionParameters(json_schema=SCHEMA))
        assert not service.backends
        next(run)
        assert len(service.backends) == 1
        service.close()
        assert service.backends[0].closed


class TestPreloading:
    def test_the_model_is_there_when_it_is_asked_for(self, tmp_path: Path) -> None:
        service = ScriptedService(tmp_path)
        service.preload("retab-small")
        (backend,) = service.backends
        document = load(DOCUMENT, settings=service.settings)
        assert list(service.stream(document, ExtractionParameters(json_schema=SCHEMA)))
        assert service.backends == [backend]
        service.close()

    def test_a_model_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ModelNotFoundError):
            ScriptedService(tmp_path).preload("nothing")


class TestEngines:
    """What llama.cpp is opened with."""

    @pytest.fixture
    def opened(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
        model = tmp_path / "model.gguf"
        model.write_bytes(b"GGUF\x03\0\0\0" + b"\x01\0\0\0\0\0\0\0" * 2)

        def open_with(*, gpu: bool = False, **settings: Any) -> dict[str, Any]:
            seen: dict[str, Any] = {}

            def backend(path: Path, **options: Any) -> ScriptedBackend:
                seen.update(options, path=path)
                return ScriptedBackend(lambda prompt: "")

            monkeypatch.setattr(llama, "LlamaBackend", backend)
            monkeypatch.setattr(llama, "supports_gpu", lambda: gpu)
            monkeypatch.setattr(hardware, "physical_cores", lambda: 6)
            service = ExtractionService(Settings(home=tmp_path, **settings))
            service.preload(str(model))
            service.close()
            assert seen.pop("path") == model
            return seen

        return open_with

    def test_on_a_cpu(self, opened: Callable[..., dict[str, Any]]) -> None:
        assert opened() == {
            "context_tokens": 16384,
            "batch_tokens": 128,
            "sequences": 10,
            "threads": 6,
            "gpu_layers": 0,
            "flash_attention": False,
            "projector": None,
            "vision": VisionLimits(None, None, 512 * 2**20),
            "stop": (),
        }

    def test_on_a_gpu_every_layer_goes_there(self, opened: Callable[..., dict[str, Any]]) -> None:
        options = opened(gpu=True)
        assert (options["gpu_layers"], options["batch_tokens"], options["flash_attention"]) == (-1, 512, True)

    def test_what_grammars_need_is_made_when_a_model_is_loaded(
        self, opened: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make, made = ScriptedBackend.grammar_tokenizer, []

        def spy(backend: ScriptedBackend) -> Any:
            made.append(backend)
            return make(backend)

        monkeypatch.setattr(ScriptedBackend, "grammar_tokenizer", spy)
        opened()
        assert len(made) == 1

    def test_settings_win(self, opened: Callable[..., dict[str, Any]]) -> None:
        options = opened(
            gpu=True,
            gpu_layers=0,
            threads=2,
            context_tokens=512,
            max_sequences=1,
            prefill_chunk_tokens=32,
            image_min_tokens=16,
            image_max_tokens=64,
            image_cache_bytes=0,
        )
        assert options == {
            "context_tokens": 512,
            "batch_tokens": 32,
            "sequences": 2,
            "threads": 2,
            "gpu_layers": 0,
            "flash_attention": False,
            "projector": None,
            "vision": VisionLimits(16, 64, 0),
            "stop": (),
        }

    def test_a_file_that_is_no_model(self, tmp_path: Path) -> None:
        path = tmp_path / "model.gguf"
        path.write_bytes(b"GGUF\x03\0\0\0" + b"\x01\0\0\0\0\0\0\0" * 2 + b"\xff" * 100)
        with pytest.raises(ModelLoadError, match=r"model"):
            ExtractionService(Settings(home=tmp_path)).preload(str(path))
