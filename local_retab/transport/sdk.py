"""The official client in this process: an httpx transport that hands its requests to the server's application.

No port is opened. The application runs on an event loop in a thread of its own, so that one transport serves clients
with and without ``async``, and streams arrive as they are made.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from local_retab.server.access import Access
from local_retab.server.app import create_app
from local_retab.settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message

    from local_retab.service import ExtractionService

Result = TypeVar("Result")

CLOSE_SECONDS = 10.0


class SdkTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Give it to an ``httpx.Client`` or ``httpx.AsyncClient``; closing that closes the models.

    ``service``: one to share, which the caller closes. Every key and every host name will do.
    """

    def __init__(self, settings: Settings | None = None, *, service: ExtractionService | None = None) -> None:
        self._owned = service is None
        if service is None:
            from local_retab.service import ExtractionService

            service = ExtractionService(settings or Settings.from_environment())
        self._service = service
        access = Access(key=None, hosts=None, max_body_bytes=self._service.settings.max_body_bytes)
        self._app = create_app(self._service, access)
        self._loop = asyncio.new_event_loop()
        self._exchanges: set[_Exchange] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="local-retab-sdk", daemon=True)
        self._thread.start()
        self._closed = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        exchange = self._on_loop(self._begin(request, request.read())).result()
        return httpx.Response(exchange.status, headers=exchange.headers, stream=_SyncBody(self, exchange))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        exchange = await asyncio.wrap_future(self._on_loop(self._begin(request, body)))
        return httpx.Response(exchange.status, headers=exchange.headers, stream=_AsyncBody(self, exchange))

    async def _begin(self, request: httpx.Request, body: bytes) -> _Exchange:
        exchange = _Exchange(request, body, self._loop)
        self._exchanges.add(exchange)
        exchange.done = lambda: self._exchanges.discard(exchange)
        await exchange.start(self._app)
        return exchange

    def _on_loop(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        if self._closed:
            work.close()
            raise RuntimeError("The transport is closed. Make a new one.")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """End running requests, and free the models unless the service is shared. Safe to call again."""
        if self._closed:
            return
        self._on_loop(self._hang_up()).result(CLOSE_SECONDS)
        self._closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self._owned:
            self._service.close()

    async def _hang_up(self) -> None:
        for exchange in list(self._exchanges):
            await exchange.close()

    async def aclose(self) -> None:
        await asyncio.to_thread(self.close)


class _Exchange:
    """One request and its answer; lives on the transport's loop."""

    def __init__(self, request: httpx.Request, body: bytes, loop: asyncio.AbstractEventLoop) -> None:
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.partition(b"?")[0],
            "query_string": request.url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "server": (request.url.host, request.url.port),
            "client": ("127.0.0.1", 0),
        }
        self._body = body
        self._loop = loop
        self._sent_body = False
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []
        self.done: Callable[[], None] = lambda: None

    async def start(self, app: ASGIApp) -> None:
        """Run the application until its answer begins."""
        self._task = asyncio.create_task(self._run(app))
        message = await self._messages.get()
        if message is None:
            await self._task
            raise RuntimeError("the application did not answer")
        self.status = message["status"]
        self.headers = list(message.get("headers", []))

    async def _run(self, app: ASGIApp) -> None:
        try:
            await app(self._scope, self._receive, self._send)
        finally:
            self._messages.put_nowait(None)
            self.done()

    async def _receive(self) -> Message:
        if not self._sent_body:
            self._sent_body = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self._messages.put_nowait(message)

    async def next(self) -> bytes | None:
        """The next piece of the answer's body, None at its end."""
        while not self._ended:
            message = await self._messages.get()
            if message is None:
                break
            self._ended = not message.get("more_body", False)
            if message.get("body"):
                return bytes(message["body"])
        self._ended = True
        return None

    async def close(self) -> None:
        """The client hangs up, or has read all; waits until the application is done with it."""
        self._gone.set()
        if self._task is not None:
            await asyncio.wait({self._task})


class _SyncBody(httpx.SyncByteStream):
    def __init__(self, transport: SdkTransport, exchange: _Exchange) -> None:
        self._transport = transport
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._transport._on_loop(self._exchange.next()).result()) is not None:
            yield piece

    def close(self) -> None:
        if not self._transport._closed:
            self._transport._on_loop(self._exchange.close()).result()


class _AsyncBody(httpx.AsyncByteStream):
    def __init__(self, transport: SdkTransport, exchange: _Exchange) -> None:
        self._transport = transport
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            piece = await asyncio.wrap_future(self._transport._on_loop(self._exchange.next()))
            if piece is None:
                return
            yield piece

    async def aclose(self) -> None:
        if not self._transport._closed:
            await asyncio.wrap_future(self._transport._on_loop(self._exchange.close()))
