"""Values to chunks: a snapshot on the way, the whole Extraction at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local_retab.extraction.notices import forbidden_nulls, string_notices
from local_retab.extraction.usage import used
from local_retab.wire import Consensus, Extraction, ExtractionChunk

if TYPE_CHECKING:
    from pydantic import JsonValue

    from local_retab.engine.sequence import Statistics
    from local_retab.extraction.task import Task
    from local_retab.wire import ExtractionNotice, ExtractionPlan, ExtractionSources


@dataclass(frozen=True, slots=True)
class Result:
    """A finished value and what is known of it. ``notices`` are those that the value does not tell by itself."""

    value: JsonValue
    likelihoods: JsonValue
    statistics: Sequence[Statistics]
    notices: Sequence[ExtractionNotice]
    plan: ExtractionPlan
    consensus: Consensus = field(default_factory=Consensus)
    sources: ExtractionSources | None = None
    synthesised: Sequence[str] = ()


def chunk_of(task: Task, output: Any) -> ExtractionChunk:
    """A snapshot."""
    # Not validated again: the machine makes JSON values only, and a check would walk all of it for each chunk.
    return ExtractionChunk.model_construct(
        id=task.id,
        file=task.document.ref,
        model=task.parameters.model,
        output=output,
        created_at=task.created_at,
        status="in_progress",
    )


def extraction_of(task: Task, result: Result) -> Extraction:
    """The finished extraction."""
    parameters, schema = task.parameters, task.plan.original
    return Extraction(
        id=task.id,
        file=task.document.ref,
        model=parameters.model,
        created_at=task.created_at,
        output=result.value,
        status="completed",
        json_schema=schema,
        n_consensus=parameters.n_consensus,
        instructions=parameters.instructions,
        metadata=parameters.metadata,
        consensus=result.consensus,
        likelihoods=result.likelihoods,
        usage=used(result.statistics),
        notices=[*result.notices, *string_notices(result.value, task.settings)],
        absent=forbidden_nulls(result.value, schema) if schema is not task.plan.held else [],
        synthesised=list(result.synthesised),
        sources=result.sources,
        plan=result.plan,
    )
