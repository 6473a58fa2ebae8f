"""The process that forks workers: it has the readers imported and no thread, so that a fork is cheap and safe."""

from __future__ import annotations

import os
import signal
import socket
import sys
from importlib import import_module

from local_retab.documents.isolation import worker

OFFICE = b"o"
OTHER = b"d"
# Pillow imports a format's plugin when a file of it is opened: here once, and not in each worker.
_READERS = (
    "pypdfium2", "pypdfium2.raw", "PIL.Image", "PIL.AvifImagePlugin", "PIL.BmpImagePlugin", "PIL.GifImagePlugin",
    "PIL.JpegImagePlugin", "PIL.MpoImagePlugin", "PIL.PngImagePlugin", "PIL.PpmImagePlugin", "PIL.TiffImagePlugin",
    "PIL.WebPImagePlugin",
)  # fmt: skip
_OFFICE_READERS = ("hypertext", "mail", "opendocument", "presentation", "rich_text", "spreadsheet", "wordprocessing")


def main(descriptor: int) -> None:
    """Fork a worker for each socket that comes over the control socket, until its other end closes.

    A byte with each socket says whether the Office readers are needed; they are imported before the first fork
    that needs them.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    _import(_READERS)
    with socket.socket(fileno=descriptor) as control:
        office_ready = False
        while True:
            kind, descriptors, _, _ = socket.recv_fds(control, 1, 1)
            if not kind:
                return
            if kind == OFFICE and not office_ready:
                office_ready = True
                _import(tuple(f"local_retab.documents.office.{name}" for name in _OFFICE_READERS))
            if os.fork() == 0:
                _work(control, descriptors[0])
            os.close(descriptors[0])


def _import(names: tuple[str, ...]) -> None:
    """What cannot be imported is missed again, and reported, by the worker that needs it."""
    for name in names:
        try:
            import_module(name)
        except ImportError:
            print(f"{name} cannot be imported", file=sys.stderr)  # noqa: T201


def _work(control: socket.socket, descriptor: int) -> None:
    """The forked process, which never returns."""
    status = 1
    try:
        control.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with socket.socket(fileno=descriptor) as connection:
            worker.serve(connection)
        status = 0
    finally:
        os._exit(status)
