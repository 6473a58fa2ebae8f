"""Messages on a socket: a JSON object and bytes, each with its length before it. Nothing on the way is executable."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

_LENGTHS = struct.Struct("<II")
_BLOCK = 1 << 20


class ClosedError(Exception):
    """The other end is gone."""


def send(connection: socket.socket, header: dict[str, Any], payload: bytes | memoryview = b"") -> None:
    """Raises ClosedError when the other end is gone, and TimeoutError."""
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    try:
        connection.sendall(_LENGTHS.pack(len(text), len(payload)))
        connection.sendall(text)
        connection.sendall(payload)
    except TimeoutError:
        raise
    except OSError as error:
        raise ClosedError from error


def receive(connection: socket.socket, *, most: int) -> tuple[dict[str, Any], bytearray]:
    """The next message. Raises ClosedError, TimeoutError, and ValueError for more than ``most`` bytes or no object."""
    text_length, payload_length = _LENGTHS.unpack(_exactly(connection, _LENGTHS.size))
    if text_length + payload_length > most:
        raise ValueError(f"a message of {text_length + payload_length:,} bytes")
    header = json.loads(_exactly(connection, text_length))
    if not isinstance(header, dict):
        raise ValueError("a message that is not an object")
    return header, _exactly(connection, payload_length)


def _exactly(connection: socket.socket, length: int) -> bytearray:
    data = bytearray(length)
    view, filled = memoryview(data), 0
    while filled < length:
        try:
            count = connection.recv_into(view[filled : filled + _BLOCK])
        except TimeoutError:
            raise
        except OSError as error:
            raise ClosedError from error
        if not count:
            raise ClosedError
        filled += count
    return data
