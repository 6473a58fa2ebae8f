"""What one extraction needs, and the wish to stop it."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_retab.documents import pages
from local_retab.engine.endings import cancelled_error
from local_retab.extraction.profiles import DEFAULT

if TYPE_CHECKING:
    from datetime import datetime

    from local_retab.documents import Document
    from local_retab.engine.sequence import Generation
    from local_retab.extraction.reading import PageSource
    from local_retab.schema import SchemaPlan
    from local_retab.settings import Settings
    from local_retab.wire import ExtractionParameters


class Stop:
    """A wish to stop, set from any thread, that reaches the generation running now and any after it."""

    def __init__(self) -> None:
        self._wished = False
        # Weak: a long document has thousands of generations, and each is cancelled by whoever lets go of it.
        self._generations: weakref.WeakSet[Generation] = weakref.WeakSet()

    def set(self) -> None:
        """Stop what runs; idempotent."""
        self._wished = True
        for generation in list(self._generations):
            generation.cancel()

    def check(self) -> None:
        """Raises GenerationCancelledError after a wish to stop; for work that is not a generation."""
        if self._wished:
            raise cancelled_error()

    def watch(self, generation: Generation) -> Generation:
        """Let a wish, also an earlier one, reach ``generation``."""
        self._generations.add(generation)
        if self._wished:
            generation.cancel()
        return generation


@dataclass(frozen=True, slots=True)
class Task:
    """Everything that one extraction needs, checked and ready: nothing of it can fail for the caller's fault."""

    id: str
    created_at: datetime
    document: Document
    parameters: ExtractionParameters
    plan: SchemaPlan
    settings: Settings
    stop: Stop
    profile: str = DEFAULT
    source: PageSource = pages
    """Where the document's pages come from."""
    background: bool = False

    @property
    def cites(self) -> bool:
        """Whether the model is to quote the document before each value."""
        return self.parameters.sources is not None and self.parameters.sources.mode == "cited"
