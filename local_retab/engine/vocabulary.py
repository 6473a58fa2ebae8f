"""A model's vocabulary as grammars need it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any

import llama_cpp
from llguidance import LLTokenizer

_CAPACITY = 1024
_SPECIAL = b"\xff"
"""Stands before tokens that are no text; llguidance lets a grammar write none of them as text."""


def grammar_tokenizer(vocabulary: Any, end_tokens: Iterable[int]) -> LLTokenizer:
    """The ``llguidance.LLTokenizer`` of a llama.cpp vocabulary, valid as long as its model; about a second's work.

    As ``llguidance.llamacpp.lltokenizer_from_vocab`` makes it, with half the calls for each token and without the
    deprecated ones.
    """
    tokenize = ctypes.cast(llama_cpp.llama_cpp._lib.llama_tokenize, ctypes.c_void_p).value
    return LLTokenizer.from_llamacpp(
        tokens=_texts(vocabulary),
        vocab_ptr=vocabulary,
        tokenize_fptr=tokenize,
        eos_token=sorted(end_tokens),
        slices=None,
    )


def _texts(vocabulary: Any) -> list[bytes]:
    """The bytes of every token, those that are no text marked."""
    piece, attributes = llama_cpp.llama_token_to_piece, llama_cpp.llama_vocab_get_attr
    control, own = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL, llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED
    buffer = ctypes.create_string_buffer(_CAPACITY)
    texts: list[bytes] = []
    for token in range(llama_cpp.llama_vocab_n_tokens(vocabulary)):
        length = piece(vocabulary, token, buffer, _CAPACITY, 0, True)
        if length < 0:
            longer = ctypes.create_string_buffer(-length)
            piece(vocabulary, token, longer, -length, 0, True)
            text = longer.raw
        else:
            text = buffer.raw[:length]
        kind = attributes(vocabulary, token)
        tagged = kind & own and text.startswith(b"<") and text.endswith(b">")
        texts.append(_SPECIAL + text if kind & control or tagged else text)
    return texts
