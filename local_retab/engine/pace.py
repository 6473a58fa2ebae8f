"""How fast this machine reads, writes and sees: measured by a few tokens, or one small picture."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from local_retab.engine.images import Pixels
from local_retab.engine.sequence import ImagePart, Limits, PromptPart

if TYPE_CHECKING:
    from local_retab.engine.engine import Engine

_SIDE = 448
"""Pixels: a fifteenth of a page at 192 dpi."""
_GRAMMAR = json.dumps({"grammars": [{"json_schema": {"const": 0}}]})
_SECONDS = 600.0
_TEXT_TOKENS = 128
_WRITTEN_TOKENS = 8
_TEXT_GRAMMAR = json.dumps({"grammars": [{"json_schema": {"type": "string", "minLength": 4 * _WRITTEN_TOKENS}}]})


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds for a token of a prompt, and of an answer that is decoded alone."""

    prefill: float
    decode: float


@dataclass(frozen=True, slots=True)
class ImageCost:
    """What images cost before the answer begins: tokens of the context, and about how many seconds."""

    images: int
    tokens: int
    seconds: float


_paces: WeakKeyDictionary[Engine, Pace] = WeakKeyDictionary()


def text_pace(engine: Engine) -> Pace:
    """The pace of an engine, measured when it is first asked for, by a prompt of 128 tokens and 8 tokens of answer.

    Long prompts are slower, and answers beside one another faster. Raises EngineError.
    """
    known = _paces.get(engine)
    if known is None:
        # Noise, so that no earlier prompt is remembered instead.
        text = os.urandom(_TEXT_TOKENS).hex()
        prompt = [PromptPart(text[:_TEXT_TOKENS], trusted=False)]
        with engine.submit(prompt, _TEXT_GRAMMAR, Limits(_WRITTEN_TOKENS, _SECONDS)) as generation:
            for _event in generation:
                pass
        spent = generation.statistics
        prefill = spent.prefill_seconds / max(spent.prompt_tokens - spent.reused_tokens, 1)
        known = _paces[engine] = Pace(prefill, spent.decode_seconds / max(spent.decode_calls, 1))
    return known


def seconds_per_image_token(engine: Engine) -> float:
    """Encoding and prefill together, on the way that extractions take.

    The attention of most projectors grows with the square of the image, so a page takes rather more than this says.
    Raises EngineError where the model cannot see.
    """
    # Noise, so that no earlier picture is remembered instead.
    pixels = Pixels(_SIDE, _SIDE, os.urandom(_SIDE * _SIDE * 3))
    prompt: list[PromptPart | ImagePart] = [ImagePart(pixels), PromptPart("\n", trusted=True)]
    with engine.submit(prompt, _GRAMMAR, Limits(output_tokens=1, seconds=_SECONDS)) as generation:
        for _event in generation:
            pass
    statistics = generation.statistics
    return (statistics.encode_seconds + statistics.prefill_seconds) / statistics.prompt_tokens
