"""The records of a batch on disk. A crash at any moment loses at most the document at hand, and repeats none.

A record is one line that is appended and synced. A line that a crash cut off is dropped when the batch goes on. What
the records belong to stands in a file beside them, which is also the lock that keeps a second run out.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from local_retab.batch.record import Record, row
from local_retab.errors import RequestError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from local_retab.batch.plan import Plan

_ROWS_PER_GROUP = 1000


class Journal:
    """The records of one output file; ``done`` are the documents that have one, each with whether it is completed.

    A Parquet file cannot grow: its records are kept in a journal beside it, and it is written from that when the
    batch is complete.
    """

    def __init__(self, out: Path, lines: Path, lock: BinaryIO, file: BinaryIO, done: dict[str, bool]) -> None:
        self._out, self._lines, self._lock, self._file = out, lines, lock, file
        self.done = done

    @classmethod
    def open(cls, out: Path, plan: Plan, *, restart: bool = False, retry_failed: bool = False) -> Journal:
        """Take the output and read what is done. Raises RequestError for an output that is another's, or in use."""
        if out.suffix not in (".jsonl", ".parquet"):
            raise RequestError(f"--out {out}: the name has to end with .jsonl or .parquet.")
        if out.suffix == ".parquet":
            _pyarrow()
        lines = out if out.suffix == ".jsonl" else out.with_name(f"{out.name}.jsonl")
        try:
            lock = _locked(out.with_name(f".{out.name}.batch"))
            try:
                _claim(lock, out, lines, plan, restart=restart)
                done = _repair(lines, drop_failed=retry_failed)
                return cls(out, lines, lock, lines.open("ab"), done)
            except BaseException:
                lock.close()
                raise
        except OSError as error:
            raise _unwritable(out, error) from error

    @property
    def failed(self) -> int:
        return sum(not completed for completed in self.done.values())

    def missing(self, plan: Plan) -> list[str]:
        """The documents that have no record yet, in the order of the plan."""
        return [document for document in plan.documents if document not in self.done]

    def append(self, record: Record) -> None:
        """Keep a record; it is on the disk when this returns."""
        try:
            self._file.write(record.line())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(self._out, error) from error
        self.done[record.document] = record.status == "completed"

    def finish(self) -> None:
        """Write the Parquet file, if one is asked for, in one piece."""
        if self._out.suffix == ".jsonl":
            return
        try:
            _write_parquet(self._lines, self._out)
        except OSError as error:
            raise _unwritable(self._out, error) from error

    def close(self) -> None:
        self._file.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _locked(path: Path) -> BinaryIO:
    file = path.open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise RequestError(
            f"{path}: another batch is writing to this output. Wait for it, or choose another."
        ) from error
    return file


def _claim(lock: BinaryIO, out: Path, lines: Path, plan: Plan, *, restart: bool) -> None:
    """Make the output this plan's, which it is already, or is not anybody's, or is to be forgotten."""
    lock.seek(0)
    owner = lock.read().decode("ascii", errors="replace").strip()
    if owner == plan.fingerprint and not restart:
        return
    if not restart and (lines.exists() or out.exists()):
        raise RequestError(
            f"--out {out}: it exists, and was made with another schema, model or options. Choose another name, or give"
            " --restart to write it anew."
        )
    lines.unlink(missing_ok=True)
    out.unlink(missing_ok=True)
    lock.truncate(0)
    lock.write(plan.fingerprint.encode())
    lock.flush()
    os.fsync(lock.fileno())


def _repair(lines: Path, *, drop_failed: bool) -> dict[str, bool]:
    """Drop what a crash left of a line, and the failed documents if asked; gives which documents are done."""
    done: dict[str, bool] = {}
    if not lines.exists():
        return done
    part = lines.with_name(f"{lines.name}.part")
    changed = False
    with lines.open("rb") as old, part.open("wb") as new:
        for number, line in enumerate(old, 1):
            record = _parsed(line, lines, number)
            keep = record is not None and record["document"] not in done
            if record is None or not keep or (drop_failed and record["status"] == "failed"):
                changed = True
                continue
            done[record["document"]] = record["status"] == "completed"
            new.write(line)
        new.flush()
        os.fsync(new.fileno())
    if changed:
        part.replace(lines)
    else:
        part.unlink()
    return done


def _parsed(line: bytes, lines: Path, number: int) -> dict[str, Any] | None:
    """A record, or None for a line that was cut off."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
        if {"document", "status"} <= record.keys():
            return dict(record)
    except (ValueError, AttributeError):
        pass
    raise RequestError(
        f"{lines}: line {number} is not a record of a batch. Restore the file, or give --restart to write it anew."
    )


def _write_parquet(lines: Path, out: Path) -> None:
    pyarrow, parquet = _pyarrow()
    schema = pyarrow.schema([(name, pyarrow.string()) for name in row({"document": "", "status": "failed"})])
    part = out.with_name(f".{out.name}.part")
    with lines.open("rb") as file, parquet.ParquetWriter(part, schema) as writer:
        for rows in _groups(file):
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
    part.replace(out)


def _groups(file: BinaryIO) -> Iterator[list[dict[str, Any]]]:
    while rows := [row(json.loads(line)) for line in islice(file, _ROWS_PER_GROUP)]:
        yield rows


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise RequestError(
            "--out: Parquet needs a library that is not installed. Run `pip install 'local-retab[parquet]'`, or give a"
            " name that ends with .jsonl."
        ) from error
    return pyarrow, pyarrow.parquet


def _unwritable(out: Path, error: OSError) -> RequestError:
    return RequestError(f"--out {out}: cannot be written: {error.strerror}. Choose another path, or make room.")
