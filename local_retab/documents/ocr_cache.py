"""What OCR read of a page's pixels, kept on disk: the same scan is read once, also by later processes."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local_retab.documents.lines import TextLine

_TRIM_EVERY = 64
"""Writes between two looks at the folder's size."""


class OcrCache:
    """Lines by the hash of what they were read from, in at most about ``limit`` bytes; 0 keeps nothing.

    The least recently used entries go first. A folder that cannot be written or an entry that cannot be read is
    the same as no entry: reading the page again gives the same lines.
    """

    _writes = 0

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit

    def get(self, key: str) -> tuple[TextLine, ...] | None:
        """The lines under ``key``; None where there are none."""
        path = self._folder / f"{key}.json"
        if not self._limit:
            return None
        try:
            lines = tuple(_line(entry) for entry in json.loads(path.read_bytes()))
            os.utime(path)
        except (OSError, ValueError, TypeError):
            return None
        return lines

    def put(self, key: str, lines: Sequence[TextLine]) -> None:
        """Keep ``lines``; readers see all of them or none."""
        if not self._limit:
            return
        data = json.dumps([[line.text, line.corners, [round(c, 4) for c in line.centres]] for line in lines])
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self._folder, suffix=".part", delete=False) as file:
                file.write(data)
            os.replace(file.name, self._folder / f"{key}.json")
            OcrCache._writes += 1
            if OcrCache._writes % _TRIM_EVERY == 1:
                self._trim()
        except OSError:
            return

    def _trim(self) -> None:
        entries = sorted(
            ((entry.stat(), entry.path) for entry in os.scandir(self._folder)), key=lambda e: e[0].st_mtime
        )
        total = sum(stat.st_size for stat, _ in entries)
        for stat, path in entries:
            if total <= self._limit:
                return
            os.unlink(path)
            total -= stat.st_size


def _line(entry: Any) -> TextLine:
    text, corners, centres = entry
    first, second, third, fourth = ((float(x), float(y)) for x, y in corners)
    if not isinstance(text, str) or len(centres) != len(text):
        raise ValueError("not a line")
    return TextLine(text, (first, second, third, fourth), tuple(float(centre) for centre in centres))
