"""Which model a name means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sample_models import entry, gguf

from local_retab.errors import (
    ModelError,
    ModelIntegrityError,
    ModelLoadError,
    ModelNotFoundError,
    SettingsError,
)
from local_retab.settings import Settings
from local_retab.weights import Store
from local_retab.weights.resolution import TIER_NAMES

MakeStore = Callable[..., Store]
Write = Callable[[str, bytes], Path]
Add = Callable[[Store, str], None]


def test_a_path_is_a_model(make_store: MakeStore, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    store, path = make_store(), write("local.gguf", gguf())
    model = store.resolve(str(path), Settings())
    assert (model.name, model.path, model.projector, model.sha256, model.entry) == (
        "local",
        path,
        None,
        None,
        None,
    )
    monkeypatch.chdir(path.parent)
    assert store.resolve("local.gguf", Settings()).path == path
    assert store.resolve("./local.gguf", Settings()).path == path
    monkeypatch.setenv("HOME", str(path.parent))
    assert store.resolve("~/local.gguf", Settings()).path == path


def test_a_file_that_the_catalogue_knows_has_its_entry(make_store: MakeStore, write: Write) -> None:
    path = write("known.gguf", gguf())
    file = {"role": "model", "filename": "known.gguf", "size": path.stat().st_size, "sha256": "0" * 64}
    store = make_store(entry("family", files=[file], prompt_profile="nuextract", stop_tokens=["<end>"]))
    found = store.resolve(str(path), Settings()).entry
    assert found is not None
    assert (found.name, found.prompt_profile, found.stop_tokens) == ("family", "nuextract", ("<end>",))
    longer = write("known.gguf", gguf() + b"more")
    assert store.resolve(str(longer), Settings()).entry is None


@pytest.mark.parametrize("name", ["nowhere.gguf", "/nowhere/x.gguf", "a\\b", "~nobody-here/a", "a\0/b", "../..", "/"])
def test_a_path_without_a_file_is_not_found(name: str, make_store: MakeStore) -> None:
    with pytest.raises(ModelNotFoundError, match="there is no such file"):
        make_store().resolve(name, Settings())


def test_paths_that_cannot_be_used(make_store: MakeStore, write: Write) -> None:
    with pytest.raises(ModelLoadError, match=r"notes\.gguf is not a usable GGUF file: it is text"):
        make_store().resolve(str(write("notes.gguf", b"to do: write")), Settings())
    with pytest.raises(ModelError, match="File name too long"):
        make_store().resolve("/" + "a" * 5000, Settings())


def test_without_any_model_the_message_has_the_command(make_store: MakeStore) -> None:
    for name in [*TIER_NAMES, "gpt-4o"]:
        with pytest.raises(ModelNotFoundError, match="`local-retab models pull begin`") as caught:
            make_store().resolve(name, Settings())
        assert caught.value.details == {"model": name, "installed": []}
    with pytest.raises(ModelNotFoundError, match="`local-retab models pull big`"):
        make_store(entry("big")).resolve("big", Settings())


def test_an_unknown_name_lists_what_is_installed(make_store: MakeStore, add: Add) -> None:
    store = make_store()
    add(store, "mine")
    with pytest.raises(ModelNotFoundError, match=r"no model gpt-4o\. Installed: mine\. .*`local-retab models pull"):
        store.resolve("gpt-4o", Settings())


TIERS = [entry("m1", "micro"), entry("m2", "micro"), entry("s1"), entry("l1", "large"), entry("t1", "test")]


@pytest.mark.parametrize(
    ("installed", "micro", "small", "large"),
    [
        ("m1 s1 l1 begin mine t1", "m1", "s1", "l1"),
        ("m2 m1 begin", "m1", "m1", "m1"),
        ("m2 l1", "m2", "l1", "l1"),
        ("s1 l1", "s1", "s1", "l1"),
        ("s1 m1", "m1", "s1", "s1"),
        ("l1 begin", "l1", "l1", "l1"),
        ("begin mine", "mine", "mine", "mine"),
        ("begin t1", "begin", "begin", "begin"),
        ("old new", "new", "new", "new"),
    ],
)
def test_a_tier_means_the_best_installed(
    installed: str, micro: str, small: str, large: str, make_store: MakeStore, add: Add
) -> None:
    store = make_store(*TIERS)
    for name in installed.split():
        add(store, name)
    for prefix in ("retab", "auto"):
        found = [store.resolve(f"{prefix}-{tier}", Settings()).name for tier in ("micro", "small", "large")]
        assert found == [micro, small, large]


def test_a_model_for_tests_is_only_meant_by_its_name(make_store: MakeStore, add: Add) -> None:
    store = make_store(*TIERS)
    add(store, "t1")
    assert store.resolve("t1", Settings()).name == "t1"
    with pytest.raises(ModelNotFoundError, match=r"Only t1 is installed, .*`local-retab models pull begin`"):
        store.resolve("retab-small", Settings())


def test_settings_come_first(make_store: MakeStore, add: Add, write: Write) -> None:
    store, path = make_store(*TIERS), write("file.gguf", gguf())
    add(store, "s1")
    add(store, "t1")
    settings = Settings(model_small="t1", model_large=str(path))
    assert store.resolve("auto-small", settings).name == "t1"
    assert store.resolve("retab-large", settings).path == path
    assert store.resolve("retab-micro", settings).name == "s1"
    with pytest.raises(ModelNotFoundError, match=r"retab-micro is set to m1 by LOCAL_RETAB_MODEL_MICRO.*pull m1"):
        store.resolve("retab-micro", Settings(model_micro="m1"))
    with pytest.raises(SettingsError, match="LOCAL_RETAB_MODEL_MICRO: retab-small is a tier too"):
        store.resolve("retab-micro", Settings(model_micro="retab-small"))


def test_missing_and_shortened_files_are_seen_at_once(make_store: MakeStore, add: Add) -> None:
    store = make_store()
    add(store, "mine")
    path = store.resolve("mine", Settings()).path
    path.write_bytes(b"short")
    with pytest.raises(ModelIntegrityError, match=r"has 5 bytes, not the 28 .*models remove mine"):
        store.resolve("mine", Settings())
    path.unlink()
    with pytest.raises(ModelIntegrityError, match="is missing"):
        store.resolve("retab-small", Settings())
