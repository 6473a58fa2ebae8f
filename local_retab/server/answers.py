"""How an extraction is answered: one object, or lines as they come; and what happens when the client hangs up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Literal, TypeVar

from starlette.responses import Response

from local_retab.errors import GenerationCancelledError, LocalRetabError
from local_retab.server.failures import failure, info
from local_retab.wire import Extraction, ExtractionChunk, StreamFailure

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from local_retab.server.feed import Feed
    from local_retab.wire import Status

Form = Literal["object", "lines", "last_line"]
STREAM_HEADERS = [
    (b"content-type", b"application/stream+json"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]

Result = TypeVar("Result")


class HungUp(Exception):
    """The client has gone. Internal: nobody is left to hear of it."""


class RunAnswer(Response):
    """Answers a request with a run.

    ``object``: the finished extraction. ``lines``: every snapshot on a line, the last the extraction. ``last_line``:
    that line alone. Errors before the first byte are HTTP errors, later ones a last line with ``streaming_error``.
    While a stream has nothing to say for ``heartbeat`` seconds, it says a blank line.
    """

    def __init__(self, feed: Feed, form: Form, *, status_code: int, heartbeat: float) -> None:
        self._feed = feed
        self._form = form
        self._heartbeat = heartbeat
        super().__init__(status_code=status_code)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_hang_up(receive))
        try:
            if self._form == "object":
                await self._answer_object(scope, receive, send, gone)
            else:
                await self._answer_lines(scope, receive, send, gone)
        # OSError is what a server says of a connection that broke while it was written to.
        except (HungUp, OSError):
            return
        finally:
            self._feed.cancel()
            gone.cancel()

    async def _answer_object(self, scope: Scope, receive: Receive, send: Send, gone: asyncio.Task[None]) -> None:
        try:
            extraction = await _unless(gone, self._feed.last())
        except LocalRetabError as error:
            await failure(error)(scope, receive, send)
            return
        answer = Response(extraction.model_dump_json(), status_code=self.status_code, media_type="application/json")
        await answer(scope, receive, send)

    async def _answer_lines(self, scope: Scope, receive: Receive, send: Send, gone: asyncio.Task[None]) -> None:
        try:
            chunk = await _unless(gone, self._next())
        except LocalRetabError as error:
            await failure(error)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": STREAM_HEADERS})
        shown: ExtractionChunk | None = None
        while True:
            line = b"\n" if chunk is None else _line(chunk)
            await send({"type": "http.response.body", "body": line, "more_body": True})
            if isinstance(chunk, Extraction):
                break
            shown = chunk or shown
            try:
                chunk = await _unless(gone, self._next())
            except LocalRetabError as error:
                await send({"type": "http.response.body", "body": _error_line(error, shown), "more_body": True})
                break
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next(self) -> ExtractionChunk | None:
        """The next chunk to show, None when it is time for a heartbeat."""
        if self._form == "lines":
            return await self._feed.next(self._heartbeat)
        try:
            return await asyncio.wait_for(self._feed.last(), self._heartbeat)
        except TimeoutError:
            return None


def _line(chunk: ExtractionChunk) -> bytes:
    # Readers split lines at U+2028 and the like too: everything but ASCII is escaped.
    return chunk.model_dump_json(ensure_ascii=True).encode() + b"\n"


def _error_line(error: LocalRetabError, shown: ExtractionChunk | None) -> bytes:
    found = info(error)
    status: Status = "cancelled" if isinstance(error, GenerationCancelledError) else "failed"
    failed = StreamFailure(status=status, error=found, streaming_error=found)
    values = {} if shown is None else shown.model_dump(mode="json")
    return json.dumps({**values, **failed.model_dump(mode="json")}).encode() + b"\n"


async def _hang_up(receive: Receive) -> None:
    """Returns when the client is gone. The body has been read before."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _unless(gone: asyncio.Task[None], work: Awaitable[Result]) -> Result:
    """What ``work`` gives. Raises HungUp when the client is gone before."""
    task = asyncio.ensure_future(work)
    await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        raise HungUp
    return task.result()
