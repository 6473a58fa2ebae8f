"""Models that ship with the package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_models import entry, gguf, sha256

from local_retab.errors import ModelIntegrityError, ModelPullError
from local_retab.weights import Catalogue, ModelEntry, Store, bundled
from local_retab.weights.catalogue import BundledSource, data_folder

WEIGHTS, PROJECTOR = gguf(b"weights"), gguf(b"projector")


def pair(**changes: Any) -> dict[str, Any]:
    files = [
        {"role": role, "filename": name, "size": len(data), "sha256": sha256(data)}
        for role, name, data in (("model", "tiny.gguf", WEIGHTS), ("projector", "mmproj-tiny.gguf", PROJECTOR))
    ]
    return entry(
        "tiny", "test", modality="vision", files=files, source={"kind": "bundled", "folder": "tiny"}, **changes
    )


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "package" / "tiny"
    folder.mkdir(parents=True)
    (folder / "tiny.gguf").write_bytes(WEIGHTS)
    (folder / "mmproj-tiny.gguf").write_bytes(PROJECTOR)
    monkeypatch.setattr(bundled, "data_folder", lambda: tmp_path / "package")
    return folder


def test_a_pull_copies_and_checks_what_ships(make_store: Callable[..., Store], shipped: Path) -> None:
    model = make_store(pair()).pull("tiny")
    assert model.path.read_bytes() == WEIGHTS
    assert model.projector is not None
    assert model.projector.read_bytes() == PROJECTOR
    assert (shipped / "tiny.gguf").exists()


def test_a_shipped_file_that_changed_is_refused(make_store: Callable[..., Store], shipped: Path) -> None:
    (shipped / "mmproj-tiny.gguf").write_bytes(gguf(b"projectoR"))
    with pytest.raises(ModelIntegrityError, match=r"mmproj-tiny\.gguf"):
        make_store(pair()).pull("tiny")


def test_a_shipped_file_that_is_missing_is_a_broken_installation(
    make_store: Callable[..., Store], shipped: Path
) -> None:
    (shipped / "tiny.gguf").unlink()
    with pytest.raises(ModelPullError, match="Reinstall local-retab"):
        make_store(pair()).pull("tiny")


@pytest.mark.parametrize(
    "model", [model for model in Catalogue.load().models if isinstance(model.source, BundledSource)], ids=str
)
def test_a_model_that_ships_is_in_the_repository_as_the_catalogue_has_it(model: ModelEntry) -> None:
    assert isinstance(model.source, BundledSource)
    for file in model.files:
        data = (data_folder() / model.source.folder / file.filename).read_bytes()
        assert (len(data), sha256(data)) == (file.size, file.sha256)
