"""Images in a prompt: pixels, and the runs of image tokens that they become in a sequence.

An image token has no id: its embedding comes from the projector. In a sequence's list of tokens it is a negative
number made of the content that it stands for, so that equal images are equal prefixes and nothing else is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Pixels:
    """An image in RGB, 8 bits a channel, rows from the top without padding: ``width * height * 3`` bytes."""

    width: int
    height: int
    data: bytes = field(repr=False, compare=False)
    digest: bytes = field(init=False)

    def __post_init__(self) -> None:
        assert self.width > 0
        assert self.height > 0
        assert len(self.data) == self.width * self.height * 3
        object.__setattr__(self, "digest", hashlib.blake2b(self.data, digest_size=_KEY_BYTES).digest())


@dataclass(frozen=True, slots=True)
class ImageChunk:
    """A run of image tokens that one pass of the projector makes: a whole image, or one tile of it.

    ``key`` is made of all that decides the embeddings (see ``chunk_key``), ``index`` counts the image's chunks.
    ``tokens`` are KV cells; ``positions`` is by how much the position grows, which under M-RoPE is less.
    ``whole`` chunks attend to themselves in both directions and must be decoded in one call. ``grid`` holds the
    M-RoPE positions relative to the chunk's first one, shape (3, tokens): time, row, column.
    """

    pixels: Pixels = field(repr=False, compare=False)
    key: bytes
    index: int
    tokens: int
    positions: int
    whole: bool
    grid: NDArray[np.int32] | None = field(default=None, repr=False, compare=False)

    def cells(self) -> list[int]:
        """The numbers that stand for the chunk's tokens in a sequence; all below zero."""
        first = -1 - (int.from_bytes(self.key, "big") << 24)
        return [first - offset for offset in range(self.tokens)]


@dataclass(frozen=True, slots=True)
class ImageSpan:
    """Where a chunk stands in a sequence: its tokens are those from ``start`` to before ``end``."""

    start: int
    chunk: ImageChunk

    @property
    def end(self) -> int:
        return self.start + self.chunk.tokens


def chunk_key(projector: bytes, pixels: Pixels, index: int) -> bytes:
    """The content key of a chunk. ``projector`` identifies the weights and the image-token budget in force."""
    size = f"{len(projector)} {pixels.width}x{pixels.height} {index}".encode()
    return hashlib.blake2b(projector + pixels.digest + size, digest_size=_KEY_BYTES).digest()


def whole_images(length: int, images: Sequence[ImageSpan]) -> int:
    """The longest prefix of at most ``length`` tokens that cuts no image."""
    return next((span.start for span in images if span.start < length < span.end), length)


def position_at(index: int, images: Sequence[ImageSpan]) -> int:
    """The position of the token at ``index``, which is not inside an image."""
    return index - sum(span.chunk.tokens - span.chunk.positions for span in images if span.end <= index)
