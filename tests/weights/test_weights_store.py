"""The installed models: verified, removed, shared between processes."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sample_models import Recorder, entry, gguf, pypi_entry, sha256

from local_retab.errors import (
    LocalRetabError,
    ModelError,
    ModelIntegrityError,
    ModelNotFoundError,
)
from local_retab.settings import Settings
from local_retab.weights import Store

MakeStore = Callable[..., Store]
Write = Callable[[str, bytes], Path]
Add = Callable[[Store, str], None]


def test_verify_reads_every_byte(make_store: MakeStore, add: Add) -> None:
    store = make_store()
    add(store, "mine")
    model = store.resolve("mine", Settings())
    progress = Recorder()
    assert store.verify("mine", progress) == model
    assert progress.calls == [("checking mine.gguf", 28, 28)]
    data = bytearray(model.path.read_bytes())
    data[-1] ^= 1
    model.path.write_bytes(data)
    with pytest.raises(ModelIntegrityError, match=rf"mine\.gguf has the sha256 {sha256(bytes(data))}, not"):
        store.verify("mine")
    assert model.path.read_bytes() == data
    with pytest.raises(ModelNotFoundError, match="no model other"):
        store.verify("other")


def test_verify_holds_a_pinned_model_to_the_catalogue(make_store: MakeStore, add: Add, root: Path) -> None:
    add(make_store(entry("pinned")), "pinned")
    later = make_store(pypi_entry("pinned", gguf(b"another"), 1))
    with pytest.raises(ModelIntegrityError, match=f"not {sha256(gguf(b'another'))}"):
        later.verify("pinned")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("not json", "Invalid JSON"),
        ('{"name": "mine"}', "Field required"),
        ({"name": "other"}, "the manifest of other"),
        ({"extra": 1}, "Extra inputs"),
        ({"files": []}, "at least 1 item"),
        (
            {"files": [{"role": "model", "filename": "../../etc.gguf", "size": 1, "sha256": "0" * 64}]},
            "pattern",
        ),
        (
            {"files": [{"role": "projector", "filename": "a.gguf", "size": 1, "sha256": "0" * 64}]},
            "a model file",
        ),
    ],
)
def test_a_broken_manifest_is_an_error_that_remove_repairs(
    change: str | dict[str, object], fault: str, make_store: MakeStore, add: Add, root: Path
) -> None:
    store = make_store()
    add(store, "mine")
    path = root / "mine" / "manifest.json"
    path.write_text(change if isinstance(change, str) else json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ModelIntegrityError, match=rf"manifest \(.*{fault}.*models remove mine"):
        store.installed()
    store.remove("mine")
    assert store.installed() == []


def test_what_is_no_model_is_not_listed(make_store: MakeStore, add: Add, root: Path) -> None:
    store = make_store()
    assert store.installed() == []
    add(store, "mine")
    (root / "notes").write_text("a file")
    (root / "empty").mkdir()
    (root / "Other Folder").mkdir()
    assert [model.name for model in store.installed()] == ["mine"]


def test_remove_deletes_a_model_and_its_broken_off_pull(make_store: MakeStore, add: Add, root: Path) -> None:
    store = make_store()
    add(store, "mine")
    add(store, "other")
    (root / ".partial" / "mine" / "files").mkdir(parents=True)
    (root / ".partial" / "half").mkdir()
    store.remove("mine")
    store.remove("half")
    assert [model.name for model in store.installed()] == ["other"]
    assert not list((root / ".partial").iterdir())
    with pytest.raises(ModelNotFoundError, match=r"no model mine\. Installed: other"):
        store.remove("mine")


def test_remove_deletes_a_link_and_not_what_it_links_to(make_store: MakeStore, add: Add, root: Path) -> None:
    store = make_store()
    add(store, "mine")
    elsewhere = root.parent / "elsewhere"
    (root / "mine").rename(elsewhere)
    (root / "mine").symlink_to(elsewhere)
    assert store.verify("mine").name == "mine"
    store.remove("mine")
    assert store.installed() == []
    assert (elsewhere / "mine.gguf").exists()


def test_another_process_is_waited_for(make_store: MakeStore, add: Add, root: Path) -> None:
    store = make_store(entry("mine"))
    add(store, "mine")
    code = (
        "import fcntl, sys\n"
        "lock = open(sys.argv[1])\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
        "open(sys.argv[2], 'w').close()\n"
    )
    command = [sys.executable, "-c", code, str(root / ".locks" / "mine"), str(root / "released")]
    waiting, phases, released = threading.Event(), [], []

    def progress(phase: str, _done: int, _total: int | None) -> None:
        phases.append(phase)
        waiting.set()

    def pull() -> None:
        store.pull("mine", progress)
        released.append((root / "released").exists())

    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        thread = threading.Thread(target=pull)
        thread.start()
        assert waiting.wait(timeout=30)
        holder.stdin.close()
        thread.join(timeout=30)
        assert not thread.is_alive()
    assert released == [True]
    assert phases == ["waiting for another process"]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "the disk of .* is full. Free some space there, or set LOCAL_RETAB_HOME elsewhere"),
        (errno.EDQUOT, "is full"),
        (errno.EACCES, "no permission for .*a.gguf. Change its owner or mode"),
        (errno.EROFS, "no permission"),
        (errno.EIO, "Input/output error. Check the disk"),
    ],
)
def test_errors_of_the_disk_are_mapped(
    number: int,
    message: str,
    make_store: MakeStore,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    root: Path,
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number), "a.gguf")

    source = write("a.gguf", gguf())
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ModelError, match=f"a.gguf: .*{message}"):
        make_store().import_model(source)
    assert not (root / "a").exists()


def test_a_store_that_is_a_file_is_an_error(make_store: MakeStore, write: Write, root: Path) -> None:
    root.parent.mkdir()
    root.write_text("in the way")
    for use in (
        lambda store: store.installed(),
        lambda store: store.import_model(write("a.gguf", gguf())),
        lambda store: store.pull("begin"),
    ):
        with pytest.raises(ModelError, match=str(root)) as caught:
            use(make_store())
        assert isinstance(caught.value, LocalRetabError)
