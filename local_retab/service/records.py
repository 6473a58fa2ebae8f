"""What the use cases of every kind of record share: finding, listing, cancelling, deleting, and working one off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel

from local_retab.errors import (
    ConflictError,
    LocalRetabError,
    NotFoundError,
    OverloadedError,
    RequestError,
)
from local_retab.service.recording import cancelled, error_info, status_of
from local_retab.storage import Filters, Kind, Page, Record, Window

if TYPE_CHECKING:
    from local_retab.service.running import Running
    from local_retab.settings import Settings
    from local_retab.storage import Storage

Response = TypeVar("Response", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Idempotency:
    """The caller's key for an operation, and the hash of the request that it stands for."""

    key: str
    body_hash: str


class Stopper:
    """A wish to stop, for work that looks for it."""

    def __init__(self) -> None:
        self.wished = False

    def cancel(self) -> None:
        self.wished = True

    def check(self) -> None:
        """Raises GenerationCancelledError when the wish was made."""
        if self.wished:
            raise cancelled()


class RecordCases(Generic[Response]):
    """The use cases of records of one kind, whose responses are of ``model``.

    ``output_field`` is the part of a response that can be left out of it, and ``missing`` the error for an unknown id.
    """

    def __init__(
        self,
        kind: Kind,
        model: type[Response],
        output_field: str,
        missing: type[NotFoundError],
        *,
        settings: Settings,
        storage: Storage,
        running: Running,
    ) -> None:
        self._kind = kind
        self._model = model
        self._output_field = output_field
        self._missing = missing
        self._settings = settings
        self._storage = storage
        self._running = running

    def get(self, record_id: str, *, include_output: bool = True) -> Response:
        """The stored record; without its output on request. Raises NotFoundError."""
        found = self.response(self.record(record_id))
        return found if include_output else found.model_copy(update={self._output_field: self._empty()})

    def list(self, filters: Filters, window: Window) -> Page[Response]:
        """A page of stored records."""
        page = self._storage.records.page(self._kind, filters, window)
        return Page(tuple(map(self.response, page.items)), page.before, page.after)

    def delete(self, record_id: str) -> None:
        """Stop it if it runs, and delete it for good. Raises NotFoundError."""
        self.record(record_id)
        self._running.cancel(record_id)
        if not self._storage.delete_record(record_id, self._kind):
            raise self._not_found(record_id)

    def cancel(self, record_id: str) -> Response:
        """Stop it; one that has ended stays as it is. Raises NotFoundError."""
        found = self.response(self.record(record_id))
        self.finish(found.model_copy(update={"status": "cancelled"}), of_any_owner=True)
        self._running.cancel(record_id)
        return self.get(record_id)

    def record(self, record_id: str) -> Record:
        """The record. Raises NotFoundError."""
        record = self._storage.records.get(record_id, self._kind)
        if record is None:
            raise self._not_found(record_id)
        return record

    def response(self, record: Record) -> Response:
        """The record as the wire has it."""
        return self._model.model_validate({**record.body, self._output_field: record.output, "status": record.status})

    def finish(self, response: Response, *, of_any_owner: bool = False) -> bool:
        """End a record that is open; False when it had ended, was deleted, or another process has it."""
        values: Any = response
        body, output = self.split(response)
        owner = None if of_any_owner else self._storage.owner.id
        done = self._storage.records.finish(values.id, values.status, body, output, owner=owner)
        self.settle(values.id)
        return done

    def fail(self, begun: Response, error: LocalRetabError) -> bool:
        """End a record with an error, or as cancelled."""
        return self.finish(begun.model_copy(update={"status": status_of(error), "error": error_info(error)}))

    def settle(self, record_id: str) -> None:
        """Where nothing is kept, a record ends with its request."""
        if not self._storage.keeps:
            self._storage.delete_record(record_id, self._kind)

    def split(self, response: Response) -> tuple[dict[str, Any], Any]:
        """The response without its output, and the output, as JSON values."""
        body = response.model_dump(mode="json")
        return body, body.pop(self._output_field)

    def known(self, idempotency: Idempotency | None) -> Record | None:
        """The record that an earlier request under the same key made. Raises ConflictError for another request."""
        if idempotency is None:
            return None
        record_id = self._storage.keys.find(idempotency.key, idempotency.body_hash)
        return None if record_id is None else self._storage.records.get(record_id, self._kind)

    def answer_of(self, known: Record | None) -> Response | None:
        """What answers a request whose record is ``known``; None when it is to be carried out, again or at all.

        Raises ConflictError while an earlier one, which is not in the background, is under way.
        """
        if known is None or known.status in ("failed", "cancelled"):
            return None
        if known.status != "completed" and not known.background:
            raise _under_way(known.id)
        return self.response(known)

    def bind(self, idempotency: Idempotency | None, record_id: str, known: Record | None) -> None:
        """Let the key stand for a new record instead of ``known``. Raises ConflictError when another was faster."""
        if idempotency is None:
            return
        replaced = None if known is None else known.id
        if not self._storage.keys.remember(idempotency.key, idempotency.body_hash, record_id, instead_of=replaced):
            self._storage.delete_record(record_id, self._kind)
            raise _under_way(record_id)

    def check_queue(self) -> None:
        """Raises RequestError where nothing is kept, OverloadedError when too many requests wait."""
        if not self._storage.keeps:
            raise RequestError(
                "background: with LOCAL_RETAB_KEEP=none nothing is stored, so there would be no record to ask for. "
                "Send the request without background, or set LOCAL_RETAB_KEEP=all."
            )
        limit = self._settings.max_queued_requests
        if self._storage.queue.waiting() >= limit:
            raise OverloadedError(
                f"{limit} background requests are waiting. Send it again later, or raise "
                f"LOCAL_RETAB_MAX_QUEUED_REQUESTS.",
                details={"retry_after": 30},
            )

    def work(self, begun: Response, do: Callable[[Stopper], Response]) -> Response:
        """Do the work of a record in this thread, and end the record. Raises what the work raises."""
        record_id: str = begun.id  # type: ignore[attr-defined]
        stopper = Stopper()
        self._running.add(record_id, stopper)
        try:
            finished = do(stopper)
            stopper.check()
        except LocalRetabError as error:
            if not self._running.gives_back(record_id, error):
                self.fail(begun, error)
            raise
        finally:
            self._running.remove(record_id)
        if not self.finish(finished):
            raise cancelled()
        return finished

    def _empty(self) -> Any:
        return {}

    def _not_found(self, record_id: str) -> NotFoundError:
        return self._missing(
            f"No {self._kind} {record_id[:80]!r} is stored. List them to see which there are.",
            details={"id": record_id[:80]},
        )


def _under_way(record_id: str) -> ConflictError:
    return ConflictError(
        "A request under the same Idempotency-Key is under way. Wait for it to end, then send this one again.",
        details={"id": record_id},
    )
