"""What an extraction took, all of its attempts and votes together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from local_retab.wire import Usage

if TYPE_CHECKING:
    from local_retab.engine.sequence import Statistics


def used(runs: Sequence[Statistics]) -> Usage:
    """The sums of the runs' counts and seconds."""
    return Usage(
        prompt_tokens=sum(run.prompt_tokens for run in runs),
        cached_prompt_tokens=sum(run.reused_tokens for run in runs),
        image_tokens=sum(run.image_tokens for run in runs),
        encoded_images=sum(run.encoded_images for run in runs),
        encode_seconds=sum(run.encode_seconds for run in runs),
        output_tokens=sum(run.output_tokens for run in runs),
        forced_output_tokens=sum(run.forced_tokens for run in runs),
        draft_tokens=sum(run.drafted_tokens for run in runs),
        accepted_draft_tokens=sum(run.accepted_tokens for run in runs),
        decode_calls=sum(run.decode_calls for run in runs),
        queue_seconds=sum(run.queue_seconds for run in runs),
        prefill_seconds=sum(run.prefill_seconds for run in runs),
        decode_seconds=sum(run.decode_seconds for run in runs),
        grammar_seconds=sum(run.grammar_seconds for run in runs),
    )
