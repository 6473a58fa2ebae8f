"""A blocking run, read by a thread of its own, for the event loop: the latest snapshot, and how it ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from local_retab.errors import EngineError, GenerationCancelledError, LocalRetabError, OverloadedError
from local_retab.wire import Extraction, ExtractionChunk

if TYPE_CHECKING:
    from local_retab.service.runner import Run


class Admission:
    """How many runs may be under way."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0

    def enter(self) -> None:
        """Raises OverloadedError when there are as many as may be."""
        if self._count >= self._limit:
            raise OverloadedError(
                f"{self._limit} extractions are under way, the most this server takes. Send it again later, or raise "
                f"LOCAL_RETAB_MAX_REQUESTS.",
                details={"retry_after": 5},
            )
        self._count += 1

    def leave(self) -> None:
        self._count -= 1


class Feed:
    """Opens a run with ``open_run`` in its thread and reads it to the end.

    A snapshot that nobody took is replaced by the next one: each has the whole of the partial output, so a slow
    client costs no memory. The end is never replaced. Use it from one event loop.
    """

    def __init__(self, open_run: Callable[[], Run], admission: Admission) -> None:
        admission.enter()
        self._admission = admission
        self._open_run = open_run
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._latest: ExtractionChunk | None = None
        self._end: Extraction | LocalRetabError | None = None
        self._lock = threading.Lock()
        self._run: Run | None = None
        self._cancelled = False
        threading.Thread(target=self._read, name="local-retab-feed", daemon=True).start()

    def _read(self) -> None:
        end: Extraction | LocalRetabError = GenerationCancelledError("The request was stopped.")
        run: Run | None = None
        try:
            run = self._open_run()
            with self._lock:
                self._run = run
                stopped = self._cancelled
            if not stopped:
                for chunk in run:
                    if isinstance(chunk, Extraction):
                        end = chunk
                    else:
                        self._tell(chunk)
        except LocalRetabError as error:
            end = error
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it
            end = EngineError(f"{error!r} in the server. Please report it.")
        try:
            if run is not None:
                run.close()
        except LocalRetabError as error:
            end = error
        self._tell(end)

    def _tell(self, news: ExtractionChunk | LocalRetabError) -> None:
        try:
            self._loop.call_soon_threadsafe(self._hear, news)
        except RuntimeError:
            # The loop is closed: the server has stopped, and nobody waits.
            return

    def _hear(self, news: ExtractionChunk | LocalRetabError) -> None:
        if isinstance(news, Extraction | LocalRetabError):
            self._end = news
            self._admission.leave()
        else:
            self._latest = news
        self._news.set()

    async def next(self, seconds: float | None) -> ExtractionChunk | None:
        """The next snapshot or, as the last one, the Extraction; None when nothing came for ``seconds``.

        Raises the error that the run ended with.
        """
        if self._latest is None and self._end is None:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), seconds)
            except TimeoutError:
                return None
        latest, self._latest = self._latest, None
        if latest is not None:
            return latest
        assert self._end is not None
        if isinstance(self._end, LocalRetabError):
            raise self._end
        return self._end

    async def last(self) -> Extraction:
        """The Extraction. Raises the error that the run ended with."""
        while True:
            chunk = await self.next(None)
            if isinstance(chunk, Extraction):
                return chunk

    def cancel(self) -> None:
        """Stop the work within one decode step."""
        with self._lock:
            self._cancelled = True
            run = self._run
        if run is not None:
            run.cancel()
