"""The time limit of one document."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from local_retab.errors import DocumentLimitError
from local_retab.settings import Settings


class ReadingClock:
    """Counts the seconds spent inside the readers of one document, and not those between its pages.

    A native call cannot be interrupted: the limit is noticed at the next check after it.
    """

    __slots__ = ("_filename", "_limit", "_spent", "_started")

    def __init__(self, filename: str, settings: Settings) -> None:
        self._filename = filename
        self._limit = settings.max_document_seconds
        self._spent = 0.0
        self._started: float | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts the time inside the block and checks it at both ends. One block at a time."""
        self._started = time.monotonic()
        try:
            self.check()
            yield
            self.check()
        finally:
            self._spent += time.monotonic() - self._started
            self._started = None

    def expired(self) -> bool:
        """Whether the limit is passed."""
        running = 0.0 if self._started is None else time.monotonic() - self._started
        return self._spent + running > self._limit

    def check(self) -> None:
        """Raises DocumentLimitError when the limit is passed."""
        if self.expired():
            raise DocumentLimitError(
                f"{self._filename!r} takes more than {self._limit:g} seconds to read. Send fewer or simpler pages,"
                " or raise LOCAL_RETAB_MAX_DOCUMENT_SECONDS."
            )
