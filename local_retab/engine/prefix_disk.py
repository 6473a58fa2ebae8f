"""KV of prompts' stable parts on disk: the second process that meets a schema does not compute its template again.

Only what stands before a document is kept: instructions and the template of a schema, never a document's text.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

MIN_TOKENS = 128  # fewer are computed about as fast as they are read
_DIGEST_BYTES = 32


class PrefixDisk:
    """States by model and tokens, in at most about ``limit`` bytes; the least recently used go first.

    ``identity`` names everything besides the tokens that a state depends on: weights, context settings, libraries.
    ``max_age`` in seconds: older entries are deleted. Processes share a folder: entries appear whole or not at all, and
    one that is damaged or cannot be read is the same as none.
    """

    def __init__(self, folder: Path, limit: int, identity: str, *, max_age: float | None = None) -> None:
        self._folder = folder
        self._limit = limit
        self._identity = identity
        self._max_age = max_age

    def load(self, tokens: Sequence[int]) -> memoryview | None:
        """The state after ``tokens``; None where it is not kept."""
        path = self._path(tokens)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        whole = memoryview(data)
        digest, state = whole[:_DIGEST_BYTES], whole[_DIGEST_BYTES:]
        if self._digest(state) == digest:
            return state
        path.unlink(missing_ok=True)
        return None

    def save(self, tokens: Sequence[int], state: bytes | memoryview) -> None:
        """Keep ``state``, in place of the oldest where there is no room; a disk that is full keeps nothing."""
        if len(state) + _DIGEST_BYTES > self._limit:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._trim(len(state) + _DIGEST_BYTES)
            with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".part", delete=False) as file:
                file.write(self._digest(state))
                file.write(state)
            os.replace(file.name, self._path(tokens))
        except OSError:
            return

    def _trim(self, room: int) -> None:
        """Delete what is too old, and the least recently used until ``room`` bytes are free."""
        entries = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in self._folder.iterdir())
        total = sum(size for _, size, _ in entries)
        oldest = time.time() - self._max_age if self._max_age is not None else 0.0
        for used_at, size, path in entries:
            if total + room <= self._limit and used_at >= oldest:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _path(self, tokens: Sequence[int]) -> Path:
        key = hashlib.blake2b(self._identity.encode() + b"\0", digest_size=_DIGEST_BYTES)
        key.update(np.asarray(tokens, dtype="<i8").tobytes())
        return self._folder / f"{key.hexdigest()}.kv"

    @staticmethod
    def _digest(state: bytes | memoryview) -> bytes:
        return hashlib.blake2b(state, digest_size=_DIGEST_BYTES).digest()
