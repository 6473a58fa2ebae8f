"""A model that is none: a real vocabulary, and an answer that is known. What a run takes with it is our own time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from local_retab.errors import EngineError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from local_retab.engine.backend import BackendInfo, BatchToken, Embeddings
    from local_retab.engine.images import ImageChunk, Pixels
    from local_retab.engine.llama import LlamaBackend

AHEAD = 64
"""Bytes of the answer that are tokenised to find its next token."""


class ScriptedModel:
    """A Backend over the vocabulary of ``vocabulary``, which it owns; it answers every prompt with ``answer``."""

    def __init__(self, vocabulary: LlamaBackend, answer: str, *, context_tokens: int) -> None:
        self._vocabulary = vocabulary
        self._answer = answer.encode()
        self._info = replace(vocabulary.info, context_tokens=context_tokens, chat_template=None)
        # By sequence: the bytes of the answer up to each position, and where the answer begins.
        self._written: dict[int, list[int]] = {number: [] for number in range(self._info.sequences)}
        self._begins: dict[int, int] = {}
        self._chosen: dict[int, int] = {}  # by row of the last call
        self._known: dict[int, int] = {}  # by bytes written: the token that comes next
        self._row = np.zeros(self._info.vocabulary_size, dtype=np.float32)
        self._last = 0

    @property
    def info(self) -> BackendInfo:
        return self._info

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        return self._vocabulary.tokenize(text, special=special)

    def token_bytes(self, token: int) -> bytes:
        return self._vocabulary.token_bytes(token)

    def grammar_tokenizer(self) -> Any:
        return self._vocabulary.grammar_tokenizer()

    def decode(self, batch: Sequence[BatchToken]) -> None:
        self._chosen = {}
        for row, entry in enumerate(batch):
            written = self._written[entry.sequence]
            assert entry.position == len(written)
            begun = entry.sequence in self._begins
            written.append(written[-1] + len(self.token_bytes(entry.token)) if begun else 0)
            if entry.logits:
                self._begins.setdefault(entry.sequence, entry.position + 1)
                self._chosen[row] = self._next(written[-1])

    def _next(self, written: int) -> int:
        token = self._known.get(written)
        if token is None:
            text = self._answer[written : written + AHEAD].decode(errors="ignore")
            token = self.tokenize(text, special=False)[0] if text else min(self._info.end_tokens)
            self._known[written] = token
        return token

    def logits(self, row: int) -> NDArray[np.float32]:
        self._row[self._last] = 0.0
        self._last = self._chosen[row]
        self._row[self._last] = 1.0
        return self._row

    def cut(self, sequence: int, start: int) -> bool:
        del self._written[sequence][start:]
        if start < self._begins.get(sequence, 0):
            del self._begins[sequence]
        return True

    def share(self, source: int, target: int, end: int) -> None:
        self._written[target] = [0] * end

    def rest(self, seconds: float) -> None:
        time.sleep(seconds)

    def snapshot(self, sequence: int) -> bytes:
        return b""

    def restore(self, sequence: int, state: bytes) -> bool:
        return False

    def tokenize_image(self, pixels: Pixels) -> list[int | ImageChunk]:
        return self._vocabulary.tokenize_image(pixels)

    def image_tokens(self, width: int, height: int) -> int:
        return self._vocabulary.image_tokens(width, height)

    def encode(self, chunk: ImageChunk, stopped: Callable[[], bool]) -> Embeddings | None:
        return self._vocabulary.encode(chunk, stopped)

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
        raise EngineError("The scripted model reads text only.")

    def close(self) -> None:
        self._vocabulary.close()
