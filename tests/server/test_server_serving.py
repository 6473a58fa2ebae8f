"""The server's socket."""

from __future__ import annotations

import asyncio
import socket

import pytest

from local_retab.server.serving import _listen


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_chunks_are_sent_without_delay(host: str) -> None:
    async def delays() -> bool:
        connected: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted = writer.get_extra_info("socket")
            connected.set_result(not accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with _listen(host, 0) as listener:
            async with await asyncio.start_server(accept, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname()[:2])
                found = await connected
                writer.close()
                await writer.wait_closed()
        return found

    assert not asyncio.run(delays())
