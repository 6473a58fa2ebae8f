"""The seam between the decode loop and whatever computes logits.

llama.cpp stands behind it in the product, a scripted byte model in the tests. One thread calls a backend.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from local_retab.engine.images import ImageChunk, Pixels


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """What the loop must know of a loaded model."""

    name: str
    context_tokens: int
    """KV cells, shared by all sequences."""
    batch_tokens: int
    """Most tokens of one decode call."""
    sequences: int
    """KV sequences that can be held at once; ids 0 to sequences - 1."""
    vocabulary_size: int
    end_tokens: frozenset[int]
    """Tokens that end a generation."""
    chat_template: str | None
    """Jinja source stored with the model."""
    prefix_sharing: bool
    """Whether KV can be cut and shared at any position; recurrent memories cannot."""
    bos: str
    eos: str
    device: str
    vision: bool = False
    """Whether images can be read."""
    kernels: str = ""
    """The instructions of our own products of weights; empty where llama.cpp computes all."""


@dataclass(frozen=True, slots=True)
class BatchToken:
    """One token of a decode call: its sequence, its position there, and whether its logits row is read."""

    token: int
    position: int
    sequence: int
    logits: bool


@dataclass(frozen=True, slots=True)
class Embeddings:
    """What the projector made of a chunk, shape (tokens, width of the model's input); ``fresh``: computed now."""

    values: NDArray[np.float32]
    fresh: bool


class Backend(Protocol):
    """Tokens and images in, logits out, with KV sequences that can be cut and shared."""

    @property
    def info(self) -> BackendInfo: ...

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Token ids of ``text``; control tokens are parsed from it only when ``special``."""
        ...

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; empty for control tokens."""
        ...

    def grammar_tokenizer(self) -> Any:
        """The vocabulary as an ``llguidance.LLTokenizer``; made once, valid while the backend is open."""
        ...

    def decode(self, batch: Sequence[BatchToken]) -> None:
        """One decode call, computed when it returns. Raises EngineError; the KV of its sequences is then undefined."""
        ...

    def tokenize_image(self, pixels: Pixels) -> list[int | ImageChunk]:
        """What stands for an image in a prompt: its chunks, and the tokens before, between and after them.

        Callable from any thread. Raises EngineError, also where the model cannot see.
        """
        ...

    def image_tokens(self, width: int, height: int) -> int:
        """How many tokens ``tokenize_image`` makes of an image of this size. Callable from any thread."""
        ...

    def encode(self, chunk: ImageChunk, stopped: Callable[[], bool]) -> Embeddings | None:
        """The embeddings of a chunk, from memory where they still are. None once ``stopped`` says so.

        Raises EngineError.
        """
        ...

    def decode_image(
        self,
        chunk: ImageChunk,
        embeddings: Embeddings,
        rows: range,
        *,
        position: int,
        sequence: int,
        logits: bool,
    ) -> None:
        """One decode call over ``rows`` of a chunk whose first token has ``position``.

        ``logits``: those after the last row are read. Raises EngineError as ``decode`` does.
        """
        ...

    def logits(self, row: int) -> NDArray[np.float32]:
        """Logits, shape (vocabulary_size,), after batch entry ``row``; valid until the next decode."""
        ...

    def cut(self, sequence: int, start: int) -> bool:
        """Drop positions ``start`` and up. False where the memory cannot be cut there (then cut at 0).

        Positions are not indices where the sequence holds images: see ``images.position_at``.
        """
        ...

    def share(self, source: int, target: int, end: int) -> None:
        """Let the empty sequence ``target`` hold positions 0 to ``end`` of ``source`` without computing them."""
        ...

    def rest(self, seconds: float) -> None:
        """Leave the processors to others for so long, between two calls."""
        ...

    def snapshot(self, sequence: int) -> bytes | memoryview:
        """The KV of a sequence, for ``restore``, also in another process with the same model and settings."""
        ...

    def restore(self, sequence: int, state: bytes | memoryview) -> bool:
        """Fill the empty ``sequence`` from a snapshot. False where it does not fit; the sequence is empty then."""
        ...

    def close(self) -> None: ...
