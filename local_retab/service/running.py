"""What this process is working on, and the threads that work off the background queue."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from local_retab.errors import GenerationCancelledError, LocalRetabError, WorkerLostError
from local_retab.storage.queue import MAX_ATTEMPTS

if TYPE_CHECKING:
    from local_retab.storage import Kind, Record, Storage

logger = logging.getLogger(__name__)

POLL_SECONDS = 2.0
ADOPT_SECONDS = 10.0
PRUNE_SECONDS = 3600.0


class Stoppable(Protocol):
    """A piece of work that can be stopped from any thread."""

    def cancel(self) -> None: ...


class Running:
    """Work by record id.

    ``work`` runs a claimed record to its end, by kind. The threads start with the first background request, or with
    ``serve``, which also takes over what dead processes left. Beside work that someone waits for, one thread alone
    begins new records: reading documents, by OCR above all, takes the processors from decoding.
    """

    def __init__(self, storage: Storage, threads: int) -> None:
        self._storage = storage
        self._count = threads
        self._work: Mapping[Kind, Callable[[Record], None]] = {}
        # Weak: a stream that its reader forgets must be free to stop.
        self._runs: weakref.WeakValueDictionary[str, Stoppable] = weakref.WeakValueDictionary()
        self._background: dict[str, int] = {}
        self._condition = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._serving = False
        self._closing = False

    def set_work(self, work: Mapping[Kind, Callable[[Record], None]]) -> None:
        """How the records of each kind are run."""
        self._work = work

    def add(self, record_id: str, run: Stoppable) -> None:
        with self._condition:
            self._runs[record_id] = run

    def remove(self, record_id: str) -> None:
        with self._condition:
            self._runs.pop(record_id, None)
            self._condition.notify_all()

    def cancel(self, record_id: str) -> None:
        """Stop the work on a record, if it is done here."""
        with self._condition:
            run = self._runs.get(record_id)
        if run is not None:
            run.cancel()

    def gives_back(self, record_id: str, error: LocalRetabError) -> bool:
        """Whether a background record, whose run ended with ``error``, goes back to the queue to run again.

        It does when this process is closing, and once when the engine's process was lost.
        """
        with self._condition:
            attempts = self._background.get(record_id)
            closing = self._closing
        if attempts is None:
            return False
        # A client's cancel has ended the record before, and a record that has ended cannot be released.
        if closing and self._storage.records.status(record_id) == "in_progress":
            self._storage.queue.release(record_id, counted=False)
            return True
        if isinstance(error, WorkerLostError) and attempts < MAX_ATTEMPTS:
            self._storage.queue.release(record_id, counted=True)
            self.wake()
            return True
        return False

    def in_background(self, record_id: str) -> bool:
        """Whether a thread of the queue works on the record."""
        with self._condition:
            return record_id in self._background

    @property
    def closed(self) -> bool:
        """Whether the store may be closed, and every record of this process has been ended or given up."""
        return self._closing

    def wake(self) -> None:
        """There is work in the queue."""
        with self._condition:
            if self._closing:
                return
            if not self._threads:
                self._threads = [
                    threading.Thread(target=self._serve, args=(place,), name=f"local-retab-queue-{place}", daemon=True)
                    for place in range(self._count)
                ]
                for thread in self._threads:
                    thread.start()
            self._condition.notify_all()  # of the threads perhaps only the first may take it

    def serve(self) -> None:
        """Work off the queue, and whatever dead processes left, until ``close``."""
        self._storage.prune()
        self._storage.queue.adopt()
        self._serving = True
        self.wake()

    def _serve(self, place: int) -> None:
        adopted = pruned = time.monotonic()
        while not self._closing:
            try:
                record = self._storage.queue.claim() if self._may_begin(place) else None
                if record is not None:
                    self._run(record)
                    continue
                if self._serving and place == 0 and time.monotonic() - adopted > ADOPT_SECONDS:
                    adopted = time.monotonic()
                    if self._storage.queue.adopt():
                        continue
                if self._serving and place == 0 and time.monotonic() - pruned > PRUNE_SECONDS:
                    pruned = time.monotonic()
                    self._storage.prune()
            except LocalRetabError as error:
                # The store cannot be used for the moment: the requests are in it, and wait.
                logger.error("background queue: %s", error.message)
            with self._condition:
                if not self._closing:
                    self._condition.wait(POLL_SECONDS)

    def _may_begin(self, place: int) -> bool:
        """Whether the thread at ``place`` takes new records now."""
        with self._condition:
            return place == 0 or all(record_id in self._background for record_id in self._runs)

    def _run(self, record: Record) -> None:
        with self._condition:
            self._background[record.id] = record.attempts
        try:
            self._work[record.kind](record)
        except GenerationCancelledError:
            logger.info("background request %s was stopped", record.id)
        except LocalRetabError as error:
            # Its record says so too.
            logger.warning("background request %s: %s", record.id, error.message)
        finally:
            with self._condition:
                self._background.pop(record.id, None)

    def close(self) -> None:
        """Stop the background work, which goes back to the queue, and wait for its threads. Safe to call again."""
        with self._condition:
            self._closing = True
            runs = [self._runs[record_id] for record_id in self._background if record_id in self._runs]
            self._condition.notify_all()
        for run in runs:
            run.cancel()
        for thread in self._threads:
            thread.join()
        self._storage.queue.leave()
