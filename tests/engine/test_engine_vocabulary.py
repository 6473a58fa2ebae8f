"""The vocabulary that grammars are over: the same as llguidance's own function reads."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from llguidance import LLTokenizer, llamacpp

from local_retab.engine import vocabulary
from local_retab.engine.llama import LlamaBackend

NANO = Path(__file__).resolve().parents[2] / "models" / "nano" / "nano.gguf"


class Seen:
    """In place of the tokenizer: what it would be made of."""

    @staticmethod
    def from_llamacpp(**arguments: Any) -> dict[str, Any]:
        return arguments


def read_twice(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], dict[str, Any]]:
    backend = LlamaBackend(path, context_tokens=64, batch_tokens=32, sequences=1, threads=1)
    try:
        assert isinstance(backend.grammar_tokenizer(), LLTokenizer)
        for module in (vocabulary, llamacpp):
            monkeypatch.setattr(module, "LLTokenizer", Seen)
        ours: Any = vocabulary.grammar_tokenizer(backend._vocabulary, backend.info.end_tokens)
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            theirs: Any = llamacpp.lltokenizer_from_vocab(
                backend._vocabulary, eos_token=sorted(backend.info.end_tokens)
            )
        return ours, theirs
    finally:
        backend.close()


def test_nano_has_the_vocabulary_that_llguidance_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = read_twice(NANO, monkeypatch)
    assert ours == theirs


@pytest.mark.smol
def test_so_has_a_model_with_control_tokens(smol: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = read_twice(smol, monkeypatch)
    assert ours == theirs
    assert sum(text.startswith(b"\xff") for text in ours["tokens"]) > 10


def test_long_tokens_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "_CAPACITY", 1)
    ours, theirs = read_twice(NANO, monkeypatch)
    assert ours == theirs
