"""A run whose record follows it: in progress, then completed, failed or cancelled, whichever comes first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from local_retab.errors import EngineError, GenerationCancelledError, LocalRetabError
from local_retab.wire import ErrorInfo, Extraction

if TYPE_CHECKING:
    from local_retab.service.runner import Run
    from local_retab.wire import ExtractionChunk, Status

CHECK_SECONDS = 1.0


class RecordedRun:
    """Passes the chunks of ``run`` on.

    ``ended`` stores how it ended, before the reader sees the end, and says whether the record was still open.
    ``cancelled`` says whether somebody else, perhaps in another process, cancelled the record.
    """

    def __init__(
        self,
        run: Run,
        ended: Callable[[Extraction | LocalRetabError], bool],
        cancelled: Callable[[], bool],
    ) -> None:
        self._run = run
        self._ended = ended
        self._cancelled = cancelled
        self._open = True
        self._checked = time.monotonic()

    def __iter__(self) -> Iterator[ExtractionChunk]:
        return self

    def __next__(self) -> ExtractionChunk:
        try:
            chunk = next(self._run)
            if not isinstance(chunk, Extraction):
                self._check()
                return chunk
        except StopIteration:
            raise
        except LocalRetabError as error:
            self._end(error)
            raise
        except BaseException as error:
            # An interrupt by the user, or a fault of this program: the record must not stay open.
            self._end(cancelled() if not isinstance(error, Exception) else EngineError(f"{error!r}. Please report it."))
            raise
        if not self._end(chunk):
            raise cancelled()
        return chunk

    def _check(self) -> None:
        if time.monotonic() - self._checked >= CHECK_SECONDS:
            self._checked = time.monotonic()
            if self._cancelled():
                self._run.cancel()

    def _end(self, outcome: Extraction | LocalRetabError) -> bool:
        if not self._open:
            return False
        self._open = False
        return self._ended(outcome)

    def cancel(self) -> None:
        """Stop the work within one decode step, from any thread; a reader gets GenerationCancelledError."""
        self._run.cancel()

    def close(self) -> None:
        """Stop the work and free what it holds, from the reader's thread. Safe to call again."""
        self._run.close()
        self._end(cancelled())


class FinishedRun:
    """A result that is there already, as a run of one chunk."""

    def __init__(self, extraction: Extraction) -> None:
        self._chunks = iter((extraction,))

    def __iter__(self) -> Iterator[ExtractionChunk]:
        return self

    def __next__(self) -> ExtractionChunk:
        return next(self._chunks)

    def cancel(self) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Nothing is held."""


def cancelled() -> GenerationCancelledError:
    return GenerationCancelledError("The extraction was stopped before it was complete.")


def status_of(error: LocalRetabError) -> Status:
    """The status of a record that ended with ``error``."""
    return "cancelled" if isinstance(error, GenerationCancelledError) else "failed"


def error_info(error: LocalRetabError) -> ErrorInfo | None:
    """What the record says of it; a cancelled one has no error."""
    if isinstance(error, GenerationCancelledError):
        return None
    return ErrorInfo(code=error.code, message=error.message, details=error.details or None)
