"""What a client needs of a service, wherever it runs. The service in this process fits as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from local_retab.documents import Document
    from local_retab.settings import Settings
    from local_retab.wire import ExtractionChunk, ExtractionParameters


class Run(Protocol):
    """The chunks of one extraction, the last of them an Extraction."""

    def __iter__(self) -> Iterator[ExtractionChunk]: ...

    def __next__(self) -> ExtractionChunk: ...

    def cancel(self) -> None:
        """Stop the work, from any thread; the reader gets GenerationCancelledError."""
        ...

    def close(self) -> None:
        """Stop the work and free what it holds, from the reader's thread."""
        ...


class Transport(Protocol):
    """One request in, its chunks out."""

    @property
    def settings(self) -> Settings: ...

    def stream(self, document: Document, parameters: ExtractionParameters) -> Run: ...

    def close(self) -> None: ...
