"""A backend without a model: tokens are bytes, and what it "computes" is a script. For exact tests of the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from llguidance import LLTokenizer
from llguidance._tokenizer import TokenizerWrapper
from numpy.typing import NDArray

from local_retab.engine.backend import BackendInfo, BatchToken

END = 256
CONTROL = 257
CONTROL_TEXT = "<|control|>"
ANSWER = "\x02"
"""Ends a prompt; what follows it in a sequence is the answer so far."""

TEMPLATE = "{% for message in messages %}{{ message.content }}\n{% endfor %}" + ANSWER


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
    """

    def __init__(
        self,
        script: Callable[[str], str],
        *,
        context_tokens: int = 4096,
        batch_tokens: int = 64,
        sequences: int = 4,
        prefix_sharing: bool = True,
        template: str | None = TEMPLATE,
    ) -> None:
        self._script = script
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
            device="cpu",
        )
        self.kv: dict[int, list[int]] = {number: [] for number in range(sequences)}
        self.batches: list[list[BatchToken]] = []
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
            kv = self.kv[entry.sequence]
            assert entry.position == len(kv), f"sequence {entry.sequence}: position {entry.position}, KV {len(kv)}"
            kv.append(entry.token)
            self._rows.append(list(kv) if entry.logits else [])
        cells = sum(len(kv) for kv in self.kv.values())
        assert cells <= self._info.context_tokens * self._info.sequences

    def logits(self, row: int) -> NDArray[np.float32]:
        tokens = self._rows[row]
        assert tokens, f"row {row} has no logits"
        text = bytes(token for token in tokens if token < END)
        prompt, _, answer = text.rpartition(ANSWER.encode())
        script = self._script(prompt.decode()).encode()
        values = np.zeros(self._info.vocabulary_size, dtype=np.float32)
        values[script[len(answer)] if len(answer) < len(script) else END] = 1.0
        return values

    def cut(self, sequence: int, start: int) -> bool:
        if start and not self._info.prefix_sharing:
            return False
        del self.kv[sequence][start:]
        return True

    def share(self, source: int, target: int, end: int) -> None:
        assert not self.kv[target]
        self.kv[target] = self.kv[source][:end]

    def close(self) -> None:
        self.closed = True
