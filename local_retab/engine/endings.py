"""The errors that end a sequence before its value is complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_retab.errors import GenerationCancelledError, GenerationError, GenerationTimeoutError

if TYPE_CHECKING:
    from local_retab.engine.sequence import Limits


def cancelled_error() -> GenerationCancelledError:
    return GenerationCancelledError("The extraction was stopped before it was complete.")


def overdue_error(limits: Limits) -> GenerationTimeoutError:
    return GenerationTimeoutError(
        f"The extraction took longer than {limits.seconds:g} s. "
        f"Set LOCAL_RETAB_MAX_GENERATION_SECONDS higher, or use a smaller model or document.",
        details={"seconds": limits.seconds},
    )


def unclosable_error(limits: Limits) -> GenerationError:
    return GenerationError(
        f"The answer reached its limit of {limits.output_tokens} tokens and could not be closed under the schema. "
        f"Set LOCAL_RETAB_MAX_OUTPUT_TOKENS higher.",
    )
