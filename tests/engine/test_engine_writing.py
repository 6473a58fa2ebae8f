"""A token that ends amid what is forced is written as the tokenizer would have written all of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from local_retab.engine.sequence import Statistics
from local_retab.engine.writing import write_next

VOCABULARY = [b'":', b'"', b'":"', b'"N', b" x", b"N", b""]
END = 6


class Grammar:
    """After a key: the rest of ``forced``, then anything."""

    finished = False

    def __init__(self, forced: bytes) -> None:
        self.left = forced
        self.written: list[int] = []

    def allowed(self, size: int) -> Any:
        return np.array([self.allows_all([token]) for token in range(size)])

    def allows_all(self, tokens: list[int]) -> bool:
        text = b"".join(VOCABULARY[token] for token in tokens)
        return bool(text) and (text.startswith(self.left) or self.left.startswith(text))

    def consume(self, tokens: list[int]) -> None:
        self.written += tokens
        self.left = self.left[len(b"".join(VOCABULARY[token] for token in tokens)) :]

    def forced_bytes(self) -> bytes:
        return self.left

    def forced(self) -> list[int]:
        return []


class Refuses:
    """Refuses some tokens after what was written."""

    def __init__(self, *texts: bytes) -> None:
        self.texts = texts
        self.asked: list[tuple[bytes, bytes]] = []

    def refuses(self, output: bytes | bytearray, token: bytes) -> bool:
        self.asked.append((bytes(output), token))
        return token in self.texts


def write(
    likely: list[float], forced: bytes, canonical: list[int], veto: Refuses | None = None
) -> tuple[list[int], list[float | None]]:
    events: list[float | None] = []
    sequence: Any = SimpleNamespace(
        constraint=Grammar(forced), sampling=None, random=None, vetoes=[veto] if veto else [], tokens=[], output=b"",
        statistics=Statistics(), events=SimpleNamespace(put=lambda event: events.append(event.logprob)),
    )  # fmt: skip
    backend: Any = SimpleNamespace(
        info=SimpleNamespace(end_tokens={END}),
        token_bytes=lambda token: VOCABULARY[token],
        tokenize=lambda text, special: canonical,
    )
    assert not write_next(sequence, np.array(likely, dtype=np.float32), backend)
    assert sequence.constraint.written == sequence.tokens
    return sequence.tokens, events


def test_the_token_that_has_all_of_it_is_written_and_says_nothing_of_the_value() -> None:
    assert write([9, 1, 8, 0, 0, 0, 0], b'":"', [2]) == ([2], [None])


def test_a_token_that_goes_on_behind_it_is_a_choice() -> None:
    tokens, logprobs = write([1, 1, 9, 0, 0, 0, 0], b'":', [0])
    assert tokens == [2]
    assert logprobs[0] == pytest.approx(-np.log(1 + np.exp(-8) * 2), abs=1e-3)


@pytest.mark.parametrize("canonical", [[0], [1], [4], [3], []])
def test_where_the_tokenizer_has_none_that_is_wider_the_choice_stays(canonical: list[int]) -> None:
    tokens, logprobs = write([9, 1, 8, 0, 0, 0, 0], b'":"', canonical)
    assert tokens == [0]
    assert logprobs[0] is not None


@pytest.mark.parametrize(
    ("refused", "written", "asked"),
    [
        ([], b" x", [b" x"]),
        ([b" x"], b"N", [b" x", b"N"]),
        ([b" x", b"N"], b'"', [b" x", b"N", b'"']),
        ([text for text in VOCABULARY if text], b" x", None),
    ],
)
def test_a_veto_is_asked_until_it_lets_a_token_be(refused: list[bytes], written: bytes, asked: list[bytes]) -> None:
    veto = Refuses(*refused)
    tokens, _ = write([1, 3, 0, 2, 5, 4, -9], b"", [], veto)
    assert [VOCABULARY[token] for token in tokens] == [written]
    assert asked is None or [token for _, token in veto.asked] == asked
