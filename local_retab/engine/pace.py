"""How fast this machine sees: measured by showing the model one small picture."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_retab.engine.images import Pixels
from local_retab.engine.sequence import ImagePart, Limits, PromptPart

if TYPE_CHECKING:
    from local_retab.engine.engine import Engine

_SIDE = 448
"""Pixels: a fifteenth of a page at 192 dpi."""
_GRAMMAR = json.dumps({"grammars": [{"json_schema": {"const": 0}}]})
_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class ImageCost:
    """What images cost before the answer begins: tokens of the context, and about how many seconds."""

    images: int
    tokens: int
    seconds: float


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
