"""One running generation: its tokens, where it stands, and the events it has for its owner."""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Items
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from local_retab.engine.images import ImageSpan, Pixels, position_at
from local_retab.errors import LocalRetabError

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np

    from local_retab.engine.backend import Embeddings
    from local_retab.engine.constraint import Constraint
    from local_retab.engine.draft import Drafter
    from local_retab.engine.sampler import Sampling
    from local_retab.engine.veto import Veto


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A piece of a prompt. Control tokens are parsed only from ``trusted`` text, never from a document's."""

    text: str
    trusted: bool


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image in a prompt, for models that see."""

    pixels: Pixels


@dataclass(frozen=True, slots=True)
class TokenizedPrompt:
    """The tokens of a prompt and the images among them, in order. Image tokens are below zero (see ``images``)."""

    tokens: list[int]
    images: tuple[ImageSpan, ...] = ()
    stable: int = 0
    """How many leading tokens stand before the document, and may be those of other prompts too."""


def document_start(prompt: Items[PromptPart | ImagePart]) -> int:
    """The index of the part where the document begins: the first image, or else the last text that is not trusted."""
    found = len(prompt)
    for index, part in enumerate(prompt):
        if isinstance(part, ImagePart):
            return index
        if not part.trusted:
            found = index
    return found


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one generation may take."""

    output_tokens: int
    seconds: float


class Finish(Enum):
    """Why a generation ended."""

    COMPLETE = "complete"
    BUDGET = "budget"
    """The token budget or the context was spent; the value was closed without the model."""


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """Bytes of output. ``synthesised`` bytes were not chosen by the model: they close a value cut by the budget.

    ``logprob`` is that of a chosen token (see ``Choice``), None for tokens that the grammar forced. ``circular`` bytes
    end an array that would go round in circles (see ``repetition``).
    """

    data: bytes
    synthesised: bool = False
    logprob: float | None = None
    circular: bool = False


@dataclass(slots=True)
class Statistics:
    """Counts and seconds of one generation."""

    prompt_tokens: int = 0
    reused_tokens: int = 0
    """Prompt tokens whose KV was already there."""
    output_tokens: int = 0
    forced_tokens: int = 0
    """Output tokens that the grammar left no choice about."""
    drafted_tokens: int = 0
    """Tokens guessed ahead."""
    accepted_tokens: int = 0
    """Those of them that the model chose too."""
    decode_calls: int = 0
    """Decode calls that produced output of this generation, prefill not counted."""
    queue_seconds: float = 0.0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    image_tokens: int = 0
    """Those of the prompt tokens that stand for images."""
    encoded_images: int = 0
    """Images, or tiles of images, that went through the projector for this generation; the others were kept."""
    encode_seconds: float = 0.0
    grammar_seconds: float = 0.0
    """Masks, choice of tokens and advancing the grammar."""


class Phase(Enum):
    """Where a sequence is in its life."""

    WAITING = "waiting"
    PREFILL = "prefill"
    DECODE = "decode"
    ENDED = "ended"


_ids = itertools.count(1)


@dataclass(slots=True, eq=False)
class Sequence:
    """State that the scheduler owns; the owner's side is ``Generation``.

    ``tokens`` is the prompt and what was generated; the first ``computed`` of them are in the KV cache.
    ``images`` are the spans of tokens that are images; ``embeddings`` those of the image that is being decoded.
    ``drafter`` guesses how the answer goes on; ``vetoes`` refuse tokens.
    """

    tokens: list[int]
    constraint: Constraint
    limits: Limits
    images: tuple[ImageSpan, ...] = ()
    embeddings: Embeddings | None = None
    sampling: Sampling | None = None
    drafter: Drafter | None = None
    vetoes: Items[Veto] = ()
    stable: int = 0
    """How many leading tokens other prompts are likely to share."""
    background: bool = False
    """Whether it stands back behind others (see ``priority``)."""
    yielded_seconds: float = 0.0
    """How long others were there before which it stands back; not part of its limit."""
    followers: list[Sequence] = field(default_factory=list)
    """Those that have chosen the same tokens so far (see ``following``); they wait, and are in no queue."""
    keep_at: int | None = None
    """How many leading tokens go to disk once they are computed."""
    rewritten: bool = False
    """Whether its last choice took the place of the token before, which is to be computed again."""
    number: int = field(default_factory=lambda: next(_ids))
    phase: Phase = Phase.WAITING
    slot: int | None = None
    computed: int = 0
    prompt_length: int = 0
    prompt_text: bytes | None = None
    """What the prompt says, once it was asked for."""
    output: bytearray = field(default_factory=bytearray)
    cancelled: bool = False
    submitted: float = field(default_factory=time.monotonic)
    statistics: Statistics = field(default_factory=Statistics)
    random: np.random.Generator | None = None
    events: queue.SimpleQueue[TokenEvent | Finish | LocalRetabError] = field(default_factory=queue.SimpleQueue)

    def __post_init__(self) -> None:
        self.prompt_length = len(self.tokens)
        self.statistics.prompt_tokens = self.prompt_length
        if self.sampling is not None:
            self.random = self.sampling.generator()
        self.statistics.image_tokens = sum(span.chunk.tokens for span in self.images)

    @property
    def pending(self) -> int:
        """Tokens that are known but not yet computed."""
        return len(self.tokens) - self.computed

    @property
    def image(self) -> ImageSpan | None:
        """The image whose tokens are to be computed next, if it is an image's turn."""
        return next((span for span in self.images if span.start <= self.computed < span.end), None)

    @property
    def pending_text(self) -> int:
        """How many of the pending tokens can be computed before the next image."""
        ahead = (span.start for span in self.images if span.end > self.computed)
        return max(next(ahead, len(self.tokens)) - self.computed, 0)

    def position(self, index: int) -> int:
        """The position of the token at ``index``, which is not inside an image."""
        return position_at(index, self.images)

    @property
    def output_length(self) -> int:
        return len(self.tokens) - self.prompt_length

    def overdue(self) -> bool:
        """Whether the time limit has passed."""
        return time.monotonic() - self.submitted - self.yielded_seconds > self.limits.seconds


class Generation:
    """The owner's handle: iterate it for events, close it to stop the decoding within one step.

    Iterating ends after the last event; ``finish`` then says why. Raises the typed error of a failed run, and
    GenerationCancelledError after ``close``. ``votes`` are the sampled answers beside it; what ends it before they
    have written anything else ends them too.
    """

    __slots__ = ("__weakref__", "_ended", "_sequence", "finish", "votes")

    def __init__(self, sequence: Sequence, votes: Iterable[Sequence] = ()) -> None:
        self._sequence = sequence
        self._ended = False
        self.finish: Finish | None = None
        self.votes = tuple(map(Generation, votes))

    @property
    def statistics(self) -> Statistics:
        return self._sequence.statistics

    @property
    def waiting(self) -> bool:
        """Whether an event is there that has not been taken, or none will come any more."""
        return self._ended or not self._sequence.events.empty()

    def __iter__(self) -> Iterator[TokenEvent]:
        while not self._ended:
            event = self._sequence.events.get()
            if isinstance(event, TokenEvent):
                yield event
            else:
                self._end(event)

    def ready(self) -> Iterator[TokenEvent]:
        """The events that are there already, without waiting for more; raises as iterating does."""
        while not self._ended:
            try:
                event = self._sequence.events.get_nowait()
            except queue.Empty:
                return
            if isinstance(event, TokenEvent):
                yield event
            else:
                self._end(event)

    def _end(self, event: Finish | LocalRetabError) -> None:
        self._ended = True
        if isinstance(event, LocalRetabError):
            raise event
        self.finish = event

    def cancel(self) -> None:
        """Ask the scheduler to stop; a GenerationCancelledError is the last event unless the run ended before."""
        self._sequence.cancelled = True

    def __enter__(self) -> Generation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()
