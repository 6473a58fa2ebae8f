"""Pulling from the Hugging Face Hub, with a scripted client in the place of the network."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import httpx
import huggingface_hub
import pytest
from huggingface_hub import errors
from sample_models import Recorder, entry, gguf, sha256

from local_retab.errors import ModelIntegrityError, ModelLoadError, ModelPullError
from local_retab.weights import Store

MakeStore = Callable[..., Store]

MODEL, PROJECTOR = gguf(b"m" * 100), gguf(b"p" * 50)
REVISION = "0123456789abcdef0123456789abcdef01234567"
COMMIT = "f" * 40
NAMES = {"model": "sees.gguf", "projector": "mmproj-sees.gguf"}
UNPINNED = entry("sees", modality="vision", files=[{"role": role, "filename": NAMES[role]} for role in NAMES])
PINNED = entry(
    "sees",
    modality="vision",
    files=[
        {"role": "model", "filename": "sees.gguf", "size": len(MODEL), "sha256": sha256(MODEL)},
        {"role": "projector", "filename": "mmproj-sees.gguf", "sha256": sha256(PROJECTOR)},
    ],
    source={"kind": "huggingface", "repository": "someone/sees", "revision": REVISION},
)


class Hub:
    """What the repository has: files by name, or an error in the place of one."""

    def __init__(self) -> None:
        self.files: dict[str, bytes | Exception] = {"sees.gguf": MODEL, "mmproj-sees.gguf": PROJECTOR}
        self.breaks_after: int | None = None
        self.asked: list[str] = []
        self.sent: list[tuple[str, int, int]] = []

    def metadata(self, url: str, library_name: str) -> huggingface_hub.HfFileMetadata:
        self.asked.append(url)
        content = self.files[url.rpartition("/")[2]]
        if isinstance(content, Exception):
            raise content
        return huggingface_hub.HfFileMetadata(COMMIT, sha256(content), url, len(content), None)

    def get(
        self,
        url: str,
        target: BinaryIO,
        *,
        resume_size: int,
        headers: Any,
        expected_size: int | None,
        tqdm_class: Any,
    ) -> None:
        content = self.files[url.rpartition("/")[2]]
        assert isinstance(content, bytes)
        end = len(content) if self.breaks_after is None else self.breaks_after
        self.sent.append((url, resume_size, end))
        assert headers["user-agent"].startswith("local-retab")
        with tqdm_class(total=expected_size, initial=resume_size, unit="B", desc=url) as bar:
            bar.update(end - resume_size)
        target.write(content[resume_size:end])
        if self.breaks_after is not None:
            raise httpx.ReadTimeout("too slow")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    scripted = Hub()
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", scripted.metadata)
    monkeypatch.setattr(huggingface_hub.file_download, "http_get", scripted.get)
    return scripted


def url(filename: str, revision: str = COMMIT) -> str:
    return huggingface_hub.hf_hub_url("someone/sees", filename, revision=revision)


def response(status: int) -> httpx.Response:
    return httpx.Response(status, request=httpx.Request("GET", "https://hub.invalid/"))


def test_a_pinned_model_is_pulled_at_its_revision(make_store: MakeStore, hub: Hub, root: Path, capfd: Any) -> None:
    progress = Recorder()
    model = make_store(PINNED).pull("sees", progress)
    assert model.path.read_bytes() == MODEL
    assert model.projector is not None
    assert model.projector.read_bytes() == PROJECTOR
    assert hub.asked == [url("sees.gguf", REVISION), url("mmproj-sees.gguf", REVISION)]
    assert hub.sent == [(url("sees.gguf"), 0, 124), (url("mmproj-sees.gguf"), 0, 74)]
    assert progress.calls == [
        ("downloading sees.gguf", 124, 124),
        ("checking sees.gguf", 124, 124),
        ("downloading mmproj-sees.gguf", 74, 74),
        ("checking mmproj-sees.gguf", 74, 74),
    ]
    assert not list((root / ".partial").iterdir())
    assert capfd.readouterr() == ("", "")


def test_an_unpinned_model_needs_consent_and_is_recorded(make_store: MakeStore, hub: Hub) -> None:
    store = make_store(UNPINNED)
    with pytest.raises(ModelPullError, match=r"no checksum for sees\.gguf, mmproj.*pull sees --trust-first-download"):
        store.pull("sees")
    assert hub.sent == []
    model = store.pull("sees", trust_unpinned=True)
    assert model.sha256 == sha256(MODEL)
    assert store.pull("sees") == model
    model.path.write_bytes(MODEL[:-1] + b"!")
    with pytest.raises(ModelIntegrityError, match=f"not {sha256(MODEL)}"):
        store.verify("sees")


def test_an_entry_without_files_says_what_to_do(make_store: MakeStore, hub: Hub) -> None:
    store = make_store(entry("unknown", files=[]))
    with pytest.raises(ModelPullError, match=r"huggingface someone/unknown@main.*models import FILE"):
        store.pull("unknown", trust_unpinned=True)
    assert hub.sent == []


def test_a_pull_that_broke_off_asks_for_the_rest(make_store: MakeStore, hub: Hub, root: Path) -> None:
    for breaks_after in (30, 70):
        hub.breaks_after = breaks_after
        with pytest.raises(ModelPullError, match=r"sees\.gguf could not .* broke off \(too slow\)\. What came is kept"):
            make_store(PINNED).pull("sees")
    assert not (root / "sees").exists()
    hub.breaks_after = None
    progress = Recorder()
    assert make_store(PINNED).pull("sees", progress).path.read_bytes() == MODEL
    assert hub.sent[:3] == [
        (url("sees.gguf"), 0, 30),
        (url("sees.gguf"), 30, 70),
        (url("sees.gguf"), 70, 124),
    ]
    assert progress.calls[0] == ("downloading sees.gguf", 124, 124)


def test_parts_of_two_versions_are_not_put_together(make_store: MakeStore, hub: Hub, root: Path) -> None:
    hub.breaks_after = 30
    with pytest.raises(ModelPullError, match="broke off"):
        make_store(UNPINNED).pull("sees", trust_unpinned=True)
    hub.files["sees.gguf"] = gguf(b"n" * 100)
    hub.breaks_after = None
    assert make_store(UNPINNED).pull("sees", trust_unpinned=True).path.read_bytes() == gguf(b"n" * 100)
    assert hub.sent[1] == (url("sees.gguf"), 0, 124)


def test_a_partial_file_that_is_too_long_starts_over(make_store: MakeStore, hub: Hub, root: Path) -> None:
    hub.breaks_after = 30
    with pytest.raises(ModelPullError, match="broke off"):
        make_store(PINNED).pull("sees")
    next(root.rglob("sees.*.partial")).write_bytes(MODEL + b"and more")
    hub.breaks_after = None
    assert make_store(PINNED).pull("sees").path.read_bytes() == MODEL
    assert hub.sent[1] == (url("sees.gguf"), 0, 124)


def test_whole_files_are_kept(make_store: MakeStore, hub: Hub) -> None:
    hub.files["mmproj-sees.gguf"] = httpx.ConnectError("no route")
    with pytest.raises(ModelPullError, match=r"mmproj-sees\.gguf could not .* broke off \(no route\)"):
        make_store(PINNED).pull("sees")
    hub.files["mmproj-sees.gguf"] = PROJECTOR
    assert make_store(PINNED).pull("sees").path.read_bytes() == MODEL
    assert hub.sent == [(url("sees.gguf"), 0, 124), (url("mmproj-sees.gguf"), 0, 74)]


def test_a_changed_size_is_seen_before_the_download(make_store: MakeStore, hub: Hub) -> None:
    hub.files["sees.gguf"] = MODEL[:-1]
    with pytest.raises(ModelIntegrityError, match="has 123 bytes, where the catalogue has 124"):
        make_store(PINNED).pull("sees")
    assert hub.sent == []


@pytest.mark.parametrize("wrong", [b"p" * 74, PROJECTOR + b"1", gguf(b"q" * 50)])
def test_a_file_that_differs_is_deleted_and_the_others_kept(
    wrong: bytes, make_store: MakeStore, hub: Hub, root: Path
) -> None:
    hub.files["mmproj-sees.gguf"] = wrong
    with pytest.raises(
        ModelIntegrityError, match=rf"{sha256(wrong)}, where the catalogue has the sha256 {sha256(PROJECTOR)}"
    ):
        make_store(PINNED).pull("sees")
    assert [path.name for path in root.rglob("*.gguf")] == ["sees.gguf"]
    assert not (root / "sees").exists()


def test_a_pinned_size_holds_where_the_server_tells_none(
    make_store: MakeStore, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    sized = entry("sees", files=[{"role": "model", "filename": "sees.gguf", "size": 124}])
    metadata = huggingface_hub.HfFileMetadata(None, None, "", None, None)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda *_args, **_options: metadata)
    hub.files["sees.gguf"] = MODEL[:-1]
    with pytest.raises(ModelIntegrityError, match=r"came with 123 bytes .* the catalogue has 124 bytes"):
        make_store(sized).pull("sees", trust_unpinned=True)
    hub.files["sees.gguf"] = MODEL
    assert make_store(sized).pull("sees", trust_unpinned=True).path.read_bytes() == MODEL


def test_an_unpinned_file_is_at_least_gguf(make_store: MakeStore, hub: Hub, root: Path) -> None:
    hub.files["sees.gguf"] = b"<html>Log in to the hotel network</html>"
    with pytest.raises(ModelLoadError, match="it is text"):
        make_store(UNPINNED).pull("sees", trust_unpinned=True)
    assert not list(root.rglob("*.gguf"))


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (
            errors.GatedRepoError("gated", response=response(403)),
            "Accept the terms at https://huggingface.co/someone/sees",
        ),
        (errors.RepositoryNotFoundError("gone", response=response(404)), "it is not there"),
        (errors.RevisionNotFoundError("gone", response=response(404)), "it is not there"),
        (errors.RemoteEntryNotFoundError("gone", response=response(404)), "it is not there"),
        (errors.HfHubHTTPError("busy", response=response(503)), r"broke off \(busy\)"),
        (errors.OfflineModeIsEnabled("offline"), r"broke off \(offline\)"),
        (httpx.ConnectError("refused"), r"broke off \(refused\)"),
        (OSError("Consistency check failed"), "Consistency check failed"),
    ],
)
def test_errors_of_the_client_are_mapped(failure: Exception, message: str, make_store: MakeStore, hub: Hub) -> None:
    hub.files["sees.gguf"] = failure
    with pytest.raises(
        ModelPullError, match=rf"sees\.gguf could not be pulled.*{message}.*models import FILE"
    ) as caught:
        make_store(PINNED).pull("sees")
    assert caught.value.__cause__ is failure


def test_a_full_disk_is_not_taken_for_the_network(make_store: MakeStore, hub: Hub) -> None:
    hub.files["sees.gguf"] = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(ModelPullError, match=r"sees: the disk of .* is full\. Free some space"):
        make_store(PINNED).pull("sees")


def test_without_the_extra_the_message_has_the_command(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelPullError, match=r'pip install "local-retab\[huggingface\]"'):
        make_store(PINNED).pull("sees")
