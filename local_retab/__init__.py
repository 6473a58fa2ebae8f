"""Structured document extraction on your own machine, offline, through the interface of the hosted Retab API.

The names below are the public ones; each is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_retab.client import AsyncExtractionStream, AsyncRetab, ExtractionStream, Retab
    from local_retab.errors import LocalRetabError
    from local_retab.settings import Settings
    from local_retab.transport.official import sdk_transport
    from local_retab.wire import Extraction, ExtractionChunk, FileRef, MIMEData

__version__ = "0.1.0"

_HOME = {
    "AsyncExtractionStream": "client",
    "AsyncRetab": "client",
    "Extraction": "wire",
    "ExtractionChunk": "wire",
    "ExtractionStream": "client",
    "FileRef": "wire",
    "LocalRetabError": "errors",
    "MIMEData": "wire",
    "Retab": "client",
    "Settings": "settings",
    "sdk_transport": "transport.official",
}

__all__ = [
    "AsyncExtractionStream",
    "AsyncRetab",
    "Extraction",
    "ExtractionChunk",
    "ExtractionStream",
    "FileRef",
    "LocalRetabError",
    "MIMEData",
    "Retab",
    "Settings",
    "__version__",
    "sdk_transport",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
