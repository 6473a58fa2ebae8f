"""A server on a socket: uvicorn over the application."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

import uvicorn

from local_retab.errors import SettingsError
from local_retab.server.access import LOOPBACK, Access
from local_retab.server.app import create_app

if TYPE_CHECKING:
    from local_retab.service import ExtractionService

DRAIN_SECONDS = 3


def serve(
    service: ExtractionService,
    host: str,
    port: int,
    *,
    ready: Callable[[str], None],
    started: Callable[[Server], None] = lambda server: None,
) -> None:
    """Serve until interrupted; ``ready`` gets the address when connections are accepted. Port 0 takes a free one.

    ``started`` gets the server itself, whose ``should_exit`` ends it from another thread.

    Raises SettingsError for an address that cannot be listened on, and for one beyond this machine without a key.
    """
    settings = service.settings
    key = None if settings.api_key is None else settings.api_key.get_secret_value()
    if host not in LOOPBACK and not key:
        raise SettingsError(
            f"--host {host}: other machines could reach the server, and no key is set. Give one with --api-key or "
            f"LOCAL_RETAB_API_KEY."
        )
    access = Access.on(host, key or None, settings.allowed_hosts, settings.max_body_bytes)
    with closing(_listen(host, port)) as listener:
        address, port = listener.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        config = uvicorn.Config(
            create_app(service, access),
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            # Streams that still run are cancelled: their clients may never hang up.
            timeout_graceful_shutdown=DRAIN_SECONDS,
            ws="none",
        )
        server = Server(config, lambda: ready(f"http://{shown}:{port}"))
        started(server)
        service.serve()
        server.run(sockets=[listener])


class Server(uvicorn.Server):
    """Says when it accepts connections."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


def _listen(host: str, port: int) -> socket.socket:
    # asyncio sends without delay (TCP_NODELAY) where the protocol is said; else Nagle's algorithm may hold a chunk back
    # until the client's delayed acknowledgement, 40 ms later.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except (OSError, OverflowError) as error:
        listener.close()
        raise SettingsError(
            f"{host}:{port} cannot be listened on: {error}. Choose another --port or --host."
        ) from error
    return listener
