"""A backend without a model: tokens are bytes, and what it "computes" is a script. For exact tests of the loop."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from llguidance import LLTokenizer
from llguidance._tokenizer import TokenizerWrapper
from numpy.typing import NDArray

from local_retab.engine.backend import BackendInfo, BatchToken, Embeddings
from local_retab.engine.images import ImageChunk, Pixels, chunk_key
from local_retab.errors import EngineError

END = 256
CONTROL = 257
CONTROL_TEXT = "<|control|>"
ANSWER = "\x02"
"""Ends a prompt; what follows it in a sequence is the answer so far."""

_STRINGS = re.compile(r'("(?:[^"\\]|\\.)*(?:"|$))', re.DOTALL)

TEMPLATE = "{% for message in messages %}{{ message.content }}\n{% endfor %}" + ANSWER


def _as_written(script: str) -> str:
    """A script that is an object or array, if perhaps without its end, as the grammar has it: without blanks."""
    if not script.startswith(("{", "[")):
        return script
    return "".join(part if part.startswith('"') else "".join(part.split()) for part in _STRINGS.split(script))


class _Bytes:
    eos_token_id: ClassVar[int] = END
    bos_token_id = None
    tokens: ClassVar[list[bytes]] = [*(bytes([byte]) for byte in range(256)), b"<|end|>", CONTROL_TEXT.encode()]
    special_token_ids: ClassVar[list[int]] = [END, CONTROL]

    def __call__(self, text: bytes) -> list[int]:
        return list(text)


class ScriptedBackend:
    """Answers a prompt with ``script(prompt)``: every byte of the script is the most likely next token in turn.

    Where the grammar forces another way, the script goes on with the part of it that is still to come. The KV cache
    is kept token by token, and a decode call whose positions do not continue it fails the test.

    With ``image_tokens`` it sees: an image is ``[``, its tiles of so many tokens, and ``]``, and the script is shown
    ``<width>x<height>`` once for each tile. ``image_positions`` is by how much a tile moves the position.
    """

    def __init__(
        self,
        script: Callable[[str], str],
        *,
        context_tokens: int = 4096,
        batch_tokens: int = 64,
        sequences: int = 4,
        prefix_sharing: bool = True,
        device: str = "cpu",
        template: str | None = TEMPLATE,
        image_tokens: int = 0,
        image_positions: int | None = None,
        tiles: int = 1,
        whole: bool = False,
    ) -> None:
        self._script = script
        self._image_tokens = image_tokens
        self._image_positions = image_tokens if image_positions is None else image_positions
        self._tiles = tiles
        self._whole = whole
        self._info = BackendInfo(
            name="scripted",
            context_tokens=context_tokens,
            batch_tokens=batch_tokens,
            sequences=sequences,
            vocabulary_size=258,
            end_tokens=frozenset({END}),
            chat_template=template,
            prefix_sharing=prefix_sharing,
            bos="",
            eos="<|end|>",
            device=device,
            vision=image_tokens > 0,
        )
        self.kv: dict[int, list[int]] = {number: [] for number in range(sequences)}
        self._positions: dict[int, list[int]] = {number: [] for number in range(sequences)}
        self._seen: dict[int, ImageChunk] = {}
        self._kept: set[bytes] = set()
        self.encoded: list[ImageChunk] = []
        self.pieces: list[range] = []
        self.before_encode: Callable[[ImageChunk], None] = lambda chunk: None
        self.batches: list[list[BatchToken]] = []
        self.rests: list[float] = []
        self._rows: list[list[int]] = []
        self._tokenizer: Any = None
        self.before_decode: Callable[[list[BatchToken]], None] = lambda batch: None
        self.closed = False

    @property
    def info(self) -> BackendInfo:
        return self._info

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        if not special:
            return list(text.encode())
        tokens: list[int] = []
        for index, piece in enumerate(text.split(CONTROL_TEXT)):
            tokens += [CONTROL, *piece.encode()] if index else list(piece.encode())
        return tokens

    def token_bytes(self, token: int) -> bytes:
        return bytes([token]) if token < END else b""

    def grammar_tokenizer(self) -> Any:
        if self._tokenizer is None:
            self._tokenizer = LLTokenizer(TokenizerWrapper(_Bytes()))
        return self._tokenizer

    def decode(self, batch: Sequence[BatchToken]) -> None:
        assert not self.closed
        assert 0 < len(batch) <= self._info.batch_tokens
        self.before_decode(list(batch))
        self.batches.append(list(batch))
        self._rows = []
        for entry in batch:
            kv, following = self.kv[entry.sequence], self._next_position(entry.sequence)
            assert entry.position == following, f"sequence {entry.sequence}: position {entry.position}, not {following}"
            assert entry.token >= 0, "an image token in a batch of text"
            kv.append(entry.token)
            self._positions[entry.sequence].append(entry.position)
            self._rows.append(list(kv) if entry.logits else [])
        self._check_cells()

    def _next_position(self, sequence: int) -> int:
        """One after the last token; after an image, as far as that moves the position."""
        kv, positions = self.kv[sequence], self._positions[sequence]
        if not kv:
            return 0
        chunk = self._seen.get(kv[-1])
        return positions[-1] + 1 if chunk is None else positions[-1] + chunk.positions

    def _check_cells(self) -> None:
        cells = sum(len(kv) for kv in self.kv.values())
        assert cells <= self._info.context_tokens * self._info.sequences

    def tokenize_image(self, pixels: Pixels) -> list[int | ImageChunk]:
        if not self._image_tokens:
            raise EngineError("blind")
        chunks = [
            ImageChunk(
                pixels,
                chunk_key(b"scripted", pixels, index),
                index,
                self._image_tokens,
                self._image_positions,
                self._whole,
            )
            for index in range(self._tiles)
        ]
        self._seen.update((cell, chunk) for chunk in chunks for cell in chunk.cells())
        return [ord("["), *chunks, ord("]")]

    def image_tokens(self, width: int, height: int) -> int:
        return self._image_tokens * self._tiles + 2

    def encode(self, chunk: ImageChunk, stopped: Callable[[], bool]) -> Embeddings | None:
        fresh = chunk.key not in self._kept
        if fresh:
            self.before_encode(chunk)
            if stopped():
                return None
            self.encoded.append(chunk)
            self._kept.add(chunk.key)
        return Embeddings(np.zeros((chunk.tokens, 1), dtype=np.float32), fresh)

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
        assert not self.closed
        assert 0 < len(rows) <= self._info.batch_tokens
        assert len(rows) == chunk.tokens or not chunk.whole, "a chunk that must not be split was split"
        kv = self.kv[sequence]
        if rows.start == 0:
            assert position == self._next_position(sequence)
        else:
            assert kv[-1] == chunk.cells()[rows.start - 1]
        kv += chunk.cells()[rows.start : rows.stop]
        self._positions[sequence] += [position] * len(rows)
        self.pieces.append(rows)
        self._rows = [[] for _ in rows]
        if logits:
            self._rows[-1] = list(kv)
        self._check_cells()

    def _shown(self, tokens: Sequence[int]) -> bytes:
        """A sequence as the script sees it."""
        if not self._seen:
            return bytes(token for token in tokens if token < END) if max(tokens) >= END else bytes(tokens)
        text = b""
        last = None
        for token in tokens:
            chunk = self._seen.get(token)
            if chunk is None:
                text += bytes([token]) if token < END else b""
            elif chunk is not last:
                text += f"{chunk.pixels.width}x{chunk.pixels.height}".encode()
            last = chunk
        return text

    def logits(self, row: int) -> NDArray[np.float32]:
        tokens = self._rows[row]
        assert tokens, f"row {row} has no logits"
        prompt, _, answer = self._shown(tokens).rpartition(ANSWER.encode())
        script = _as_written(self._script(prompt.decode())).encode()
        values = np.zeros(self._info.vocabulary_size, dtype=np.float32)
        values[script[len(answer)] if len(answer) < len(script) else END] = 1.0
        return values

    def cut(self, sequence: int, start: int) -> bool:
        if start and not self._info.prefix_sharing:
            return False
        kept = sum(position < start for position in self._positions[sequence])
        del self.kv[sequence][kept:], self._positions[sequence][kept:]
        return True

    def share(self, source: int, target: int, end: int) -> None:
        assert not self.kv[target]
        kept = sum(position < end for position in self._positions[source])
        self.kv[target] = self.kv[source][:kept]
        self._positions[target] = self._positions[source][:kept]

    def rest(self, seconds: float) -> None:
        self.rests.append(seconds)

    def snapshot(self, sequence: int) -> bytes:
        return json.dumps([self.kv[sequence], self._positions[sequence]]).encode()

    def restore(self, sequence: int, state: bytes | memoryview) -> bool:
        assert not self.kv[sequence]
        text = bytes(state)
        if not text.startswith(b"["):
            return False
        self.kv[sequence], self._positions[sequence] = json.loads(text)
        return True

    def close(self) -> None:
        self.closed = True
