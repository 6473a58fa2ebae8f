"""Where a command's results go: standard output, or a file that appears only when it is complete."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from local_retab.errors import RequestError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


def write_line(line: str) -> None:
    """One line of results on standard output, as UTF-8 whatever the locale says, at once."""
    sys.stdout.flush()
    sys.stdout.buffer.write(f"{line}\n".encode())
    sys.stdout.buffer.flush()


class Output:
    """Lines of results. ``path`` None is standard output.

    A file is written beside its place under another name and moved there when the block ends without an error; until
    then, and after an error, its place holds what it held before. Devices and pipes are written directly.
    Raises RequestError for a path that cannot be written: on entry where that can be seen, else when it shows.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path and Path(os.path.realpath(path))
        self._part: Path | None = None
        self._file: BinaryIO | None = None

    def write(self, line: str) -> None:
        """One line, in UTF-8."""
        if self._path is None:
            write_line(line)
            return
        try:
            if self._file is None:
                self._file = self._open(self._path)
            self._file.write(f"{line}\n".encode())
            self._file.flush()
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def _open(self, path: Path) -> BinaryIO:
        if path.exists() and not path.is_file():
            return path.open("wb")
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        return self._part.open("wb")

    def __enter__(self) -> Self:
        path = self._path
        if path is not None:
            if path.is_dir():
                raise RequestError(f"--output {path}: this is a folder. Give the path of a file.")
            if not os.access(path.parent, os.W_OK | os.X_OK):
                raise RequestError(f"--output {path}: its folder does not exist or cannot be written. Choose another.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        assert self._path is not None
        try:
            self._file.close()
            if self._part is not None and kind is None:
                if self._path.exists():
                    shutil.copymode(self._path, self._part)
                self._part.replace(self._path)
        except OSError as problem:
            raise _unwritable(self._path, problem) from problem
        finally:
            if self._part is not None:
                self._part.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> RequestError:
    return RequestError(f"--output {path}: cannot be written: {error.strerror}. Choose another path, or make room.")
