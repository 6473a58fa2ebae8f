"""Who may ask: the Host header, the key, and the size of the body, checked before anything else is looked at."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders

from local_retab.errors import AuthenticationError, BodyTooLargeError, HostNotAllowedError, LocalRetabError
from local_retab.server.failures import failure

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("localhost", "127.0.0.1", "::1")
SIGNED = re.compile(r"/v1/files/[^/]+/content")


@dataclass(frozen=True, slots=True)
class Access:
    """``key`` None lets every key in. ``hosts`` None answers to every Host header; the key protects then."""

    key: str | None
    hosts: tuple[str, ...] | None
    max_body_bytes: int

    @classmethod
    def on(cls, host: str, key: str | None, further_hosts: Sequence[str], max_body_bytes: int) -> Access:
        """For a server that is bound to ``host``."""
        if host not in LOOPBACK:
            return cls(key, tuple(further_hosts) or None, max_body_bytes)
        return cls(key, (*LOOPBACK, *further_hosts), max_body_bytes)


class AccessMiddleware:
    """Refuses what may not come in, and gives every answer its ``x-request-id``."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(12)}"

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            self._check(scope, Headers(scope=scope))
        except LocalRetabError as error:
            await failure(error)(scope, receive, send_with_id)
            return
        await self._app(scope, self._capped(scope, receive), send_with_id)

    def _check(self, scope: Scope, headers: Headers) -> None:
        self._check_host(headers.get("host", ""))
        path: str = scope["path"]
        # Signed links carry their own permission, and browsers ask for CORS without a key.
        if path.startswith("/v1") and not SIGNED.fullmatch(path) and scope["method"] != "OPTIONS":
            self._check_key(headers)
        length = headers.get("content-length", "")
        if length.isdecimal() and not SIGNED.fullmatch(path):
            self._check_length(int(length))

    def _check_host(self, host: str) -> None:
        if self._access.hosts is None:
            return
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            name = ""
        if name not in self._access.hosts:
            raise HostNotAllowedError(
                f"The Host header {host[:200]!r} does not name this server. Call it by its address, or allow the name "
                f"with LOCAL_RETAB_ALLOWED_HOSTS."
            )

    def _check_key(self, headers: Headers) -> None:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            key = headers.get("api-key", "")
        key = key.strip()
        if not key:
            raise AuthenticationError(
                "An API key is missing. Send it as 'Authorization: Bearer <key>' or 'Api-Key: <key>'."
            )
        expected = self._access.key
        # Headers are read as Latin-1, whatever bytes they are.
        if expected is not None and not hmac.compare_digest(key.encode("latin-1"), expected.encode()):
            raise AuthenticationError("The API key is not this server's. Use the key that it was started with.")

    def _check_length(self, length: int) -> None:
        limit = self._access.max_body_bytes
        if length > limit:
            raise BodyTooLargeError(
                f"The body has more than {limit:,} bytes. Send a smaller document, upload it as a file, or raise "
                f"LOCAL_RETAB_MAX_BODY_BYTES."
            )

    def _capped(self, scope: Scope, receive: Receive) -> Receive:
        """``receive`` that raises BodyTooLargeError, for bodies that do not say their length."""
        if SIGNED.fullmatch(scope["path"]):
            return receive
        received = 0

        async def receive_capped() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            self._check_length(received)
            return message

        return receive_capped
