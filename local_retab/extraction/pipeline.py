"""One extraction, from a document and a plan to chunks."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

from local_retab.extraction.anchoring import find_sources, to_wire
from local_retab.extraction.answer import Answer
from local_retab.extraction.chunking.parts import extract_in_parts
from local_retab.extraction.chunking.planning import plan_reading
from local_retab.extraction.citing import Lines
from local_retab.extraction.finishing import Result, chunk_of, extraction_of
from local_retab.extraction.notices import absence_notices, budget_notices, circle_notices
from local_retab.extraction.partial import Missing
from local_retab.extraction.profiles import profile_named
from local_retab.extraction.prompting import write_prompt
from local_retab.extraction.reading import read_pages
from local_retab.extraction.seeing import choose_sight
from local_retab.extraction.task import Task
from local_retab.schema import plan_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local_retab.documents import Page
    from local_retab.engine.engine import Engine
    from local_retab.extraction.chunking.planning import ReadingPlan
    from local_retab.extraction.seeing import Sight
    from local_retab.schema import SchemaPlan
    from local_retab.wire import ExtractionChunk, ExtractionSources


def extract(task: Task, engine: Engine) -> Generator[ExtractionChunk, None, None]:
    """Read the document, ask the model, and yield what is known so far; the last chunk is the whole Extraction."""
    sight = choose_sight(task.document, task.parameters, task.settings, engine)
    pages = read(task, sight)
    plan = plan_reading(task, engine, sight, pages)
    if plan.in_parts:
        yield from extract_in_parts(task, engine, sight, pages, plan)
    else:
        yield from _extract_at_once(task, engine, sight, pages, plan)


def _extract_at_once(
    task: Task, engine: Engine, sight: Sight, pages: Sequence[Page], plan: ReadingPlan
) -> Generator[ExtractionChunk, None, None]:
    """The whole document in one prompt."""
    lines = Lines(pages) if task.cites else None
    task = replace(task, plan=plan_quotes(task, lines)) if lines else task
    prompt = write_prompt(task, engine, sight, pages)
    answer = Answer(task, pages)
    while answer.wanted:
        with answer.submit(engine, prompt) as generation, answer.ballots(generation) as ballots:
            for output in answer.attempt(generation, ballots):
                if not isinstance(output, Missing):
                    yield chunk_of(task, output)
    yield extraction_of(
        # Held as it was in the last attempt, which may have been a wider one.
        replace(task, plan=answer.plan),
        Result(
            value=answer.value,
            likelihoods=answer.likelihoods,
            statistics=answer.statistics,
            notices=[
                *budget_notices(answer.cut_at, task.settings),
                *circle_notices(answer.circles),
                *absence_notices(answer.unprinted),
            ],
            plan=plan.to_wire(pages),
            consensus=answer.consensus,
            synthesised=answer.synthesised,
            sources=_sources(task, pages, answer, lines) if task.parameters.sources else None,
        ),
    )


def plan_quotes(task: Task, lines: Lines) -> SchemaPlan:
    """The task's plan with quotes of the document's own lines."""
    plan = task.plan
    absent_null = plan.held is not plan.original
    return plan_schema(plan.original, settings=task.settings, absent_null=absent_null, lines=lines.texts)


def read(task: Task, sight: Sight) -> list[Page]:
    """The pages, their words read from the pixels where the model or the sources need them and there are none."""
    words = sight.text and (profile_named(task.profile).reads_text or not sight.images)
    return read_pages(
        task.document,
        dpi=task.parameters.image_resolution_dpi,
        settings=task.settings,
        check=task.stop.check,
        seen=sight.images,
        words=words or task.parameters.sources is not None,
        source=task.source,
    )


def _sources(task: Task, pages: Sequence[Page], answer: Answer, lines: Lines | None) -> ExtractionSources:
    document, schema = task.document, task.plan.original
    if lines is None:
        return find_sources(document, pages, answer.value, schema)
    cited = lines.locate(answer.value, json.loads(answer.written), answer.plan.source_prefix, schema)
    return to_wire(document, pages, answer.value, cited, mode="cited")
