"""Large files on disk: hashed, copied, made durable, with progress; errors of the file system mapped to ours."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from local_retab.errors import ModelError

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with what is being done, the bytes done, and the bytes in all where they are known."""

BLOCK_BYTES = 1 << 20
_REPORT_BYTES = 16 * BLOCK_BYTES
_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


def silent(_phase: str, _done: int, _total: int | None) -> None:
    """A Progress that shows nothing."""


def sha256_of(path: Path, progress: Progress = silent, phase: str = "") -> str:
    """The checksum of a file, as 64 lower-case hexadecimal digits."""
    return _hash(path, None, progress, phase or f"checking {path.name}")


def copy_file(source: Path, target: Path, progress: Progress) -> str:
    """Copy, and make the copy durable; the checksum of what was written."""
    return _hash(source, target, progress, f"copying {source.name}")


def _hash(source: Path, target: Path | None, progress: Progress, phase: str) -> str:
    digest = hashlib.sha256()
    total = source.stat().st_size
    done = reported = 0
    with source.open("rb") as reading, open(target or os.devnull, "wb") as writing:
        while block := reading.read(BLOCK_BYTES):
            digest.update(block)
            if target:
                writing.write(block)
            done += len(block)
            if done - reported >= _REPORT_BYTES:
                reported = done
                progress(phase, done, total)
    if target:
        sync(target)
    progress(phase, done, total)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all, and durably."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def delete_tree(path: Path) -> None:
    """Delete a folder, a file or a link, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sizes_under(folder: Path) -> list[int]:
    """The bytes of each file under a folder; none where there is no folder."""
    sizes = []
    for parent, _folders, names in os.walk(folder):
        for name in names:
            try:
                sizes.append(os.lstat(os.path.join(parent, name)).st_size)
            except FileNotFoundError:
                # A downloader deletes its temporary files while they are counted.
                continue
    return sizes


def check_space(kind: type[ModelError], name: str, folder: Path, needed: int) -> None:
    """Raise ``kind`` when the disk of ``folder`` has less than ``needed`` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise kind(
            f"{name} needs {needed:,} bytes more under {folder}, where {free:,} are free. "
            f"Free some, or set LOCAL_RETAB_HOME to a folder on another disk.",
            details={"model": name, "path": str(folder), "needed_bytes": needed, "free_bytes": free},
        )


@contextmanager
def file_errors(kind: type[ModelError], name: str, folder: Path) -> Iterator[None]:
    """Map OSError to ``kind``, with the model, the path and what to do."""
    try:
        yield
    except OSError as error:
        path = error.filename or folder
        if error.errno in _FULL:
            fault, remedy = (
                f"the disk of {folder} is full",
                "Free some space there, or set LOCAL_RETAB_HOME elsewhere.",
            )
        elif error.errno in _REFUSED:
            fault, remedy = (
                f"no permission for {path}",
                "Change its owner or mode, or set LOCAL_RETAB_HOME elsewhere.",
            )
        else:
            fault, remedy = f"{path}: {error.strerror or error}", "Check the disk and try again."
        raise kind(f"{name}: {fault}. {remedy}", details={"model": name, "path": str(path)}) from error
