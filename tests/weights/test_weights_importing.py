"""Bringing a file of one's own."""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_models import Recorder, entry, gguf, pypi_entry, sha256

from local_retab.errors import (
    ModelError,
    ModelIntegrityError,
    ModelLoadError,
)
from local_retab.settings import Settings
from local_retab.weights import Store, files
from local_retab.weights.importing import is_name, stored_filename
from local_retab.weights.manifest import InstalledFile

MakeStore = Callable[..., Store]
Write = Callable[[str, bytes], Path]
Add = Callable[[Store, str], None]


VISION = entry(
    "sees",
    modality="vision",
    files=[{"role": "model", "filename": "sees.gguf"}, {"role": "projector", "filename": "mmproj-sees.gguf"}],
)


def test_an_imported_file_is_copied_and_recorded(make_store: MakeStore, write: Write, root: Path) -> None:
    data = gguf(b"x" * 100)
    progress = Recorder()
    source = write("My Model (v2).gguf", data)
    model = make_store().import_model(source, progress=progress)
    assert model.name == "my-model-v2-"
    assert model.path == root / "my-model-v2-" / "My-Model-v2-.gguf"
    assert model.path.read_bytes() == data
    assert (model.projector, model.sha256, model.entry) == (None, sha256(data), None)
    manifest = json.loads((root / model.name / "manifest.json").read_text())
    assert manifest.pop("installed_at").endswith("Z")
    assert manifest == {
        "name": "my-model-v2-",
        "files": [{"role": "model", "filename": "My-Model-v2-.gguf", "size": 124, "sha256": sha256(data)}],
        "source": "import My Model (v2).gguf",
    }
    assert progress.calls == [
        ("checking My Model (v2).gguf", 124, 124),
        ("copying My Model (v2).gguf", 124, 124),
    ]
    assert source.read_bytes() == data
    assert not list((root / ".partial").iterdir())


def test_importing_the_same_again_changes_nothing(make_store: MakeStore, write: Write) -> None:
    store = make_store()
    first = store.import_model(write("a.gguf", gguf(b"1")))
    before = first.path.stat().st_mtime_ns
    assert store.import_model(write("a.gguf", gguf(b"1"))) == first
    assert first.path.stat().st_mtime_ns == before
    with pytest.raises(ModelError, match=r"Another model is installed as a\..*--name.*models remove a"):
        store.import_model(write("a.gguf", gguf(b"2")))
    assert store.installed() == [first]


def test_importing_does_not_hide_damage(make_store: MakeStore, write: Write) -> None:
    source = write("a.gguf", gguf())
    make_store().import_model(source).path.unlink()
    with pytest.raises(ModelIntegrityError, match=r"a\.gguf is missing.*models remove a"):
        make_store().import_model(source)


def test_a_file_of_the_catalogue_is_recognised_by_its_checksum(make_store: MakeStore, write: Write) -> None:
    data = gguf(b"known")
    store = make_store(pypi_entry("known", data, 1))
    model = store.import_model(write("renamed.gguf", data))
    assert (model.name, model.path.name) == ("known", "renamed.gguf")
    assert model.entry is store.catalogue.get("known")
    assert store.pull("known") == model


def test_an_unpinned_file_is_recognised_by_its_name_and_size(make_store: MakeStore, write: Write) -> None:
    data = gguf(b"big")
    store = make_store(entry("big", files=[{"role": "model", "filename": "Big.gguf", "size": len(data)}]))
    with pytest.raises(ModelIntegrityError, match="has the name of a file of big and not its size"):
        store.import_model(write("Big.gguf", data[:-1]))
    assert store.import_model(write("Big.gguf", data)).name == "big"


def test_a_file_that_is_not_the_named_model_is_refused(make_store: MakeStore, write: Write, root: Path) -> None:
    store = make_store(pypi_entry("known", gguf(b"known"), 1))
    wrong = {
        ("known.gguf", None, gguf(b"longer")): "has the name of a file of known and not its size",
        ("known.gguf", None, gguf(b"knowm")): "is not the model that the catalogue has as known",
        ("other.gguf", "known", gguf(b"knowm")): "is not the model that the catalogue has as known",
    }
    for (filename, name, data), message in wrong.items():
        with pytest.raises(ModelIntegrityError, match=message):
            store.import_model(write(filename, data), name=name)
    assert not root.exists()
    assert store.import_model(write("known.gguf", gguf(b"not known")), name="mine").name == "mine"


def test_a_vision_model_comes_with_its_projector(make_store: MakeStore, write: Write) -> None:
    store = make_store(VISION)
    model, projector = write("sees.gguf", gguf(b"m")), write("mmproj-sees.gguf", gguf(b"p"))
    with pytest.raises(ModelError, match="--projector FILE"):
        store.import_model(model)
    installed = store.import_model(model, projector=projector)
    assert installed.projector is not None
    assert installed.projector.read_bytes() == gguf(b"p")
    assert store.resolve("sees", Settings()) == installed
    with pytest.raises(ModelLoadError, match=r"page\.html is not a usable GGUF file: it is text"):
        store.import_model(model, name="other", projector=write("page.html", b"<html>"))
    with pytest.raises(ModelError, match=r"both called sees\.gguf"):
        store.import_model(model, name="other", projector=model)


def test_a_file_that_changes_while_it_is_copied_is_not_installed(
    make_store: MakeStore, write: Write, root: Path
) -> None:
    source = write("a.gguf", gguf(b"before"))

    def change(phase: str, _done: int, _total: int | None) -> None:
        if phase.startswith("checking"):
            source.write_bytes(gguf(b"after!"))

    with pytest.raises(ModelIntegrityError, match="changed while it was copied"):
        make_store().import_model(source, progress=change)
    assert not (root / ".partial" / "a").exists()
    assert not (root / "a").exists()


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "Upper", "a b", "x.gguf", "retab-small", "a\n", "-a"])
def test_a_name_that_cannot_be_a_folder_is_refused(name: str, make_store: MakeStore, write: Write, root: Path) -> None:
    with pytest.raises(ModelError, match="cannot be the name of a model"):
        make_store().import_model(write("a.gguf", gguf()), name=name)
    with pytest.raises(ModelError, match="cannot be the name of a model"):
        make_store().remove(name)
    assert not root.exists()


@given(name=st.text(max_size=20))
def test_a_name_stays_within_the_store(name: str) -> None:
    if is_name(name):
        assert Path("/store", name).resolve() == Path("/store") / name
        assert not name.startswith(".")


@given(filename=st.text(max_size=300))
def test_every_filename_becomes_one_that_the_store_takes(filename: str) -> None:
    stored = stored_filename(filename, "model")
    assert InstalledFile(role="model", filename=stored, size=1, sha256="0" * 64).filename == stored


def test_too_little_space_is_said_before_the_copy(
    make_store: MakeStore, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _folder: usage(100, 90, 10))
    with pytest.raises(ModelError, match=r"a needs 31 bytes more under .*, where 10 are free\. .*LOCAL_RETAB_HOME"):
        make_store().import_model(write("a.gguf", gguf()))
