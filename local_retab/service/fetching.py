"""Documents at addresses of hosts that the setting ``fetch_hosts`` names; nothing else is ever fetched.

A name on the list may still lead anywhere, by its owner's DNS or by a redirect. So every address that it resolves to
must be a public one, the connection goes to an address that was checked, and each redirect is checked like the first.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit

from local_retab.errors import DocumentLimitError, RemoteFetchDisabledError, RemoteFetchError

if TYPE_CHECKING:
    from local_retab.settings import Settings

MAX_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)
PORTS = {"http": 80, "https": 443}
PIECE_BYTES = 256 * 1024
UNICAST = ipaddress.ip_network("2000::/3")
SIX_TO_FOUR = ipaddress.ip_network("2002::/16")
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Origin:
    """What an entry of ``fetch_hosts`` allows: one scheme, host and port."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, parts: SplitResult) -> Origin:
        """Raises ValueError for a port that is none."""
        return cls(parts.scheme, (parts.hostname or "").lower(), parts.port or PORTS.get(parts.scheme, 0))

    @property
    def authority(self) -> str:
        """As the Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


Resolve: TypeAlias = Callable[[str, int], Sequence[str]]
Connect: TypeAlias = Callable[[str, Origin, float], socket.socket]


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def connect(address: str, origin: Origin, seconds: float) -> socket.socket:
    """A connection to an address, over TLS that proves to be the origin's host. Raises OSError."""
    connection = socket.create_connection((address, origin.port), seconds)
    if origin.scheme == "http":
        return connection
    return ssl.create_default_context().wrap_socket(connection, server_hostname=origin.host)


class Fetcher:
    """Fetches by GET, without credentials and proxies; ``resolve`` and ``connect`` are the way to the network."""

    def __init__(self, settings: Settings, resolve: Resolve = resolve, connect: Connect = connect) -> None:
        entries = (entry if "://" in entry else f"https://{entry}" for entry in settings.fetch_hosts)
        self._allowed = {Origin.of(urlsplit(entry)) for entry in entries}
        self._seconds = settings.fetch_seconds
        self._max_bytes = settings.max_document_bytes
        self._resolve = resolve
        self._connect = connect

    def fetch(self, url: str) -> bytes:
        """The bytes at ``url``.

        Raises RemoteFetchDisabledError for a host that is not allowed or an address that is not public,
        DocumentLimitError over ``max_document_bytes``, and RemoteFetchError when it cannot be had.
        """
        deadline = time.monotonic() + self._seconds
        for _ in range(MAX_REDIRECTS + 1):
            found = self._get(url, self._check(url), deadline)
            if isinstance(found, bytes):
                return found
            url = urljoin(url, found)
        raise _failed(url, f"it was redirected more than {MAX_REDIRECTS} times")

    def _check(self, url: str) -> Origin:
        try:
            parts = urlsplit(url)
            origin = Origin.of(parts)
        except ValueError as error:
            raise _failed(url, f"the URL cannot be read ({error})") from error
        if origin not in self._allowed:
            raise RemoteFetchDisabledError(
                f"{url[:_SHOWN]!r} is at a host that nothing is fetched from. Send the bytes inline or upload them, or "
                f"allow the host with LOCAL_RETAB_FETCH_HOSTS."
            )
        if parts.username is not None or parts.password is not None:
            raise RemoteFetchDisabledError(
                f"A URL of {origin.host} has a name or password in it, and none is sent. Send the bytes inline."
            )
        if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
            raise _failed(url, "the URL has characters that must be percent-encoded")
        return origin

    def _get(self, url: str, origin: Origin, deadline: float) -> bytes | str:
        """The body, or where a redirect leads. One deadline holds for all of it, however slowly the bytes come."""
        timed_out = threading.Event()
        try:
            with closing(self._open(url, origin, deadline)) as connection:

                def end() -> None:
                    timed_out.set()
                    # Of TLS too only the socket below: its own shutdown is not safe beside a reader.
                    with suppress(OSError):
                        socket.socket.shutdown(connection, socket.SHUT_RDWR)

                timer = threading.Timer(max(deadline - time.monotonic(), 0.0), end)
                timer.daemon = True
                timer.start()
                try:
                    return self._exchange(url, origin, connection, timed_out)
                finally:
                    timer.cancel()
        except (OSError, http.client.HTTPException) as error:
            reason = (
                f"it took longer than {self._seconds:g} seconds" if timed_out.is_set() else str(error) or repr(error)
            )
            raise _failed(url, reason) from error

    def _open(self, url: str, origin: Origin, deadline: float) -> socket.socket:
        addresses = self._resolve(origin.host, origin.port)
        hidden = [address for address in addresses if not is_public(address)]
        if hidden:
            raise RemoteFetchDisabledError(
                f"{origin.host} has the address {hidden[0]}, which is not a public one: nothing is fetched from there. "
                f"Send the bytes inline or upload them."
            )
        last: OSError = OSError("it has no address")
        for address in addresses:
            left = deadline - time.monotonic()
            if left <= 0:
                raise _failed(url, f"it took longer than {self._seconds:g} seconds")
            try:
                return self._connect(address, origin, left)
            except OSError as error:
                last = error
        raise last

    def _exchange(self, url: str, origin: Origin, connection: socket.socket, timed_out: threading.Event) -> bytes | str:
        parts = urlsplit(url)
        asked = http.client.HTTPConnection(origin.host, origin.port)
        asked.sock = connection
        asked.request(
            "GET",
            (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            headers={"Host": origin.authority, "User-Agent": "local-retab", "Accept-Encoding": "identity"},
        )
        with asked.getresponse() as answer:
            location = answer.getheader("Location")
            if answer.status in REDIRECTS and location:
                return location
            if answer.status != 200:
                raise _failed(url, f"its server answered {answer.status}")
            if answer.getheader("Content-Encoding", "identity").lower() != "identity":
                raise _failed(url, "its server sent it compressed, which was not asked for")
            body = self._read(url, answer)
        if timed_out.is_set():
            raise OSError("it broke off")
        return body

    def _read(self, url: str, answer: http.client.HTTPResponse) -> bytes:
        body = bytearray()
        # ``length`` is what is still to come, None where the server did not say.
        while len(body) + (answer.length or 0) <= self._max_bytes:
            piece = answer.read(PIECE_BYTES)
            if not piece:
                if answer.length:
                    raise http.client.IncompleteRead(bytes(body), answer.length)
                return bytes(body)
            body += piece
        raise DocumentLimitError(
            f"{url[:_SHOWN]!r} has more than {self._max_bytes:,} bytes. Make it smaller or split it, or raise "
            f"LOCAL_RETAB_MAX_DOCUMENT_BYTES."
        )


def is_public(text: str) -> bool:
    """Whether an address belongs to the public internet.

    Of IPv6 only global unicast counts, which leaves out the forms that have an IPv4 address in them: mapped, NAT64
    and, explicitly, 6to4; Python's own lists leave out Teredo.
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and (address not in UNICAST or address in SIX_TO_FOUR):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _failed(url: str, reason: str) -> RemoteFetchError:
    return RemoteFetchError(
        f"{url[:_SHOWN]!r} could not be fetched: {reason}. Check the address, or send the bytes inline."
    )
