"""One extraction, from a document and a plan to chunks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from local_retab.engine.sequence import ImagePart, Limits, PromptPart, Statistics, cancelled_error, document_start
from local_retab.errors import OutputValidationError, SchemaError
from local_retab.extraction.absence import Absence
from local_retab.extraction.anchoring import find_sources, to_wire
from local_retab.extraction.ballots import Ballots
from local_retab.extraction.chat import render_chat
from local_retab.extraction.citing import Lines
from local_retab.extraction.consensus import reconcile
from local_retab.extraction.copying import Copies
from local_retab.extraction.likelihood import TokenLikelihoods
from local_retab.extraction.notices import (
    absence_notices,
    budget_notices,
    forbidden_nulls,
    string_notices,
    synthesised_paths,
)
from local_retab.extraction.partial import MISSING, Missing, PartialJson, PartialJsonError
from local_retab.extraction.profiles import DEFAULT, profile_named
from local_retab.extraction.reading import read_pages
from local_retab.extraction.seeing import choose_budget, choose_sight, look_at
from local_retab.extraction.usage import used
from local_retab.schema import plan_schema
from local_retab.wire import Consensus, Extraction, ExtractionChunk

if TYPE_CHECKING:
    from datetime import datetime

    from pydantic import JsonValue

    from local_retab.documents import Document, Page
    from local_retab.engine.engine import Engine
    from local_retab.engine.sampler import Sampling
    from local_retab.engine.sequence import Generation
    from local_retab.extraction.seeing import Sight
    from local_retab.schema import SchemaPlan
    from local_retab.settings import Settings
    from local_retab.wire import ExtractionParameters, ExtractionSources


class Stop:
    """A wish to stop, set from any thread, that reaches the generation running now and any after it."""

    def __init__(self) -> None:
        self._wished = False
        self._generations: list[Generation] = []

    def set(self) -> None:
        """Stop what runs; idempotent."""
        self._wished = True
        for generation in list(self._generations):
            generation.cancel()

    def check(self) -> None:
        """Raises GenerationCancelledError after a wish to stop; for work that is not a generation."""
        if self._wished:
            raise cancelled_error()

    def watch(self, generation: Generation) -> Generation:
        """Let a wish, also an earlier one, reach ``generation``."""
        self._generations.append(generation)
        if self._wished:
            generation.cancel()
        return generation


@dataclass(frozen=True, slots=True)
class Task:
    """Everything that one extraction needs, checked and ready: nothing of it can fail for the caller's fault."""

    id: str
    created_at: datetime
    document: Document
    parameters: ExtractionParameters
    plan: SchemaPlan
    settings: Settings
    stop: Stop
    profile: str = DEFAULT

    @property
    def cites(self) -> bool:
        """Whether the model is to quote the document before each value."""
        return self.parameters.sources is not None and self.parameters.sources.mode == "cited"


def extract(task: Task, engine: Engine) -> Generator[ExtractionChunk, None, None]:
    """Read the document, ask the model, and yield what is known so far; the last chunk is the whole Extraction."""
    sight = choose_sight(task.document, task.parameters, task.settings, engine)
    pages = _read(task, sight)
    lines = Lines(pages) if task.cites else None
    task = replace(task, plan=plan_quotes(task, lines)) if lines else task
    prompt = write_prompt(task, engine, sight, pages)
    answer = _Answer(task, pages, lines)
    texts = [part.text for part in prompt[document_start(prompt) :] if isinstance(part, PromptPart)]
    while answer.wanted:
        copies = partial(Copies, texts, answer.plan.reasoning_prefix)
        submit = partial(_submit, task, engine, answer.corrected(prompt), answer.plan.grammar, answer.limits, copies)
        with submit() as generation, answer.ballots(submit) as ballots:
            yield from answer.stream(generation, ballots)
    yield answer.extraction()


def plan_quotes(task: Task, lines: Lines) -> SchemaPlan:
    """The task's plan with quotes of the document's own lines."""
    plan = task.plan
    absent_null = plan.held is not plan.original
    return plan_schema(plan.original, settings=task.settings, absent_null=absent_null, lines=lines.texts)


def _submit(
    task: Task,
    engine: Engine,
    prompt: list[PromptPart | ImagePart],
    grammar: str,
    limits: Limits,
    copies: Callable[[], Copies],
    sampling: Sampling | None = None,
) -> Generation:
    return task.stop.watch(engine.submit(prompt, grammar, limits, sampling, copies()))


def _read(task: Task, sight: Sight) -> list[Page]:
    """The pages, their words read from the pixels where the model or the sources need them and there are none."""
    words = sight.text and (profile_named(task.profile).reads_text or not sight.images)
    return read_pages(
        task.document,
        dpi=task.parameters.image_resolution_dpi,
        settings=task.settings,
        check=task.stop.check,
        seen=sight.images,
        words=words or task.parameters.sources is not None,
    )


def write_prompt(task: Task, engine: Engine, sight: Sight, pages: Sequence[Page]) -> list[PromptPart | ImagePart]:
    """The prompt for one document, rendered with the model's own chat template."""
    budget = choose_budget(task.parameters, task.settings)
    images = look_at(task.document, pages, budget, engine) if sight.images else []
    texts = [page.text if sight.text else "" for page in pages]
    chat = profile_named(task.profile).write(task.plan, task.parameters, texts, images)
    info = engine.info
    return render_chat(info.chat_template, chat.messages, bos=info.bos, eos=info.eos, variables=chat.variables)


class _Answer:
    """The value as it comes in, what is shown of it, and whether another attempt is wanted."""

    def __init__(self, task: Task, pages: Sequence[Page], lines: Lines | None) -> None:
        self._task = task
        self.plan = task.plan
        self._lines = lines
        self._written = bytearray()
        self._pages = pages
        self._absence = Absence(pages if any(page.text.strip() for page in pages) else None)
        self._value: JsonValue = None
        self._problem: OutputValidationError | None = None
        self._cut_at: str | None = None
        self._complete: JsonValue | Missing = MISSING  # what was, when the budget ended
        self._synthesised: list[str] = []
        self._unprinted: list[str] = []
        self._consensus = Consensus()
        self._likelihoods = TokenLikelihoods()
        self._statistics: list[Statistics] = []
        self._attempts = 0
        self.wanted = True

    @property
    def limits(self) -> Limits:
        settings = self._task.settings
        return Limits(output_tokens=settings.max_output_tokens, seconds=settings.max_generation_seconds)

    def corrected(self, prompt: list[PromptPart | ImagePart]) -> list[PromptPart | ImagePart]:
        """The prompt; after an answer that failed validation, with the reason before the answer begins."""
        if self._problem is None:
            return prompt
        *head, tail = prompt
        note = f"\n\nAn earlier answer was refused: {self._problem.message} Answer so that this does not happen."
        return [*head, PromptPart(note, trusted=False), tail]

    def ballots(self, submit: Callable[[Sampling], Generation]) -> Ballots:
        """The sampled votes beside one attempt; none at n_consensus 1."""
        plan = self.plan
        count = self._task.parameters.n_consensus - 1
        return Ballots(count, submit, lambda: PartialJson(plan.shape, self._absence), plan.validate)

    def stream(self, generation: Generation, ballots: Ballots) -> Iterator[ExtractionChunk]:
        """One attempt: feed its bytes, yield a chunk when the visible value changed, and validate the end.

        Raises OutputValidationError for a value that breaks the caller's schema when the attempts are used up.
        """
        machine = PartialJson(self.plan.shape, self._absence)
        shown = False
        try:
            for output in self._snapshots(generation, machine, ballots):
                shown = True
                yield self._chunk(output)
            self._value = machine.flush()
            if self._cut_at is not None:
                self._synthesised = synthesised_paths(self._value, self._complete)
            self.plan.validate(self._value)
            if ballots.wanted:
                self._reconcile([self._value, *ballots.finish()])
            self._unprinted = machine.absent
        except PartialJsonError as error:
            problem = OutputValidationError(
                f"The answer is not a usable JSON value at {machine.path() or 'its start'}: {error}.",
                details={"problems": [{"path": machine.path(), "keyword": "", "reason": str(error)}]},
            )
            problem.__cause__ = error
            self._refuse(problem, shown=shown)
        except OutputValidationError as error:
            self._refuse(error, shown=shown)
        else:
            self.wanted = False
        self._statistics += [generation.statistics, *ballots.statistics]

    def _reconcile(self, votes: list[JsonValue]) -> None:
        """Make the votes one value; where the schema does not hold it, the vote that is most like it."""
        agreement = reconcile(votes, self.plan.held)
        try:
            self.plan.validate(agreement.value)
            self._value = agreement.value
        except OutputValidationError:
            self._value = votes[agreement.best_vote()]
            agreement = reconcile([self._value, *votes], self.plan.held)
        self._consensus = Consensus(choices=votes, likelihoods=agreement.likelihoods)

    def _snapshots(self, generation: Generation, machine: PartialJson, ballots: Ballots) -> Iterator[JsonValue]:
        """The visible value whenever it changed, not faster than agreed."""
        pause = 1 / self._task.settings.chunks_per_second
        shown_at = -pause
        changed = False
        self._cut_at, self._synthesised = None, []
        self._likelihoods = TokenLikelihoods()
        self._written = bytearray()
        for event in generation:
            if event.synthesised and self._cut_at is None:
                self._cut_at, self._complete = machine.path(), machine.complete()
            self._written += event.data
            path = machine.path() if event.logprob is not None else ""
            changed = machine.feed(event.data) or changed
            if event.logprob is not None:
                self._likelihoods.add(path, event.logprob)
            ballots.advance()
            # Where validation may still refuse the value, nothing is shown: a snapshot is never taken back.
            due = changed and not self.plan.deferred and time.monotonic() - shown_at >= pause
            if due and not isinstance(output := self._visible(machine, ballots), Missing):
                shown_at, changed = time.monotonic(), False
                yield output

    @staticmethod
    def _visible(machine: PartialJson, ballots: Ballots) -> JsonValue | Missing:
        """What may be shown: all of a single answer, of several what they agree on."""
        return ballots.agreed(machine) if ballots.wanted else machine.snapshot()

    def _refuse(self, problem: OutputValidationError, *, shown: bool) -> None:
        """Ask for another attempt, or give up. What was shown cannot be taken back, so it is not tried again."""
        self._attempts += 1
        settings = self._task.settings
        if shown or self._attempts > settings.max_validation_retries:
            raise problem
        if self._attempts == settings.max_validation_retries:  # the last attempt may write all that is valid
            with suppress(SchemaError):  # written as wide, a schema may be too large
                self.plan = self.plan.widened(settings=settings)
        self._problem = problem

    def extraction(self) -> Extraction:
        """The finished extraction."""
        parameters = self._task.parameters
        schema = self._task.plan.original
        return Extraction(
            **self._chunk(self._value).model_dump(exclude={"status", "output", "file"}),
            file=self._task.document.ref,
            output=self._value,
            status="completed",
            json_schema=self._task.plan.original,
            n_consensus=parameters.n_consensus,
            instructions=parameters.instructions,
            metadata=parameters.metadata,
            consensus=self._consensus,
            likelihoods=self._likelihoods.tree(self._value)
            if parameters.n_consensus == 1
            else self._consensus.likelihoods,
            usage=used(self._statistics),
            notices=[
                *budget_notices(self._cut_at, self._task.settings),
                *absence_notices(self._unprinted),
                *string_notices(self._value, self._task.settings),
            ],
            absent=forbidden_nulls(self._value, schema) if schema is not self.plan.held else [],
            synthesised=self._synthesised,
            sources=self._sources() if parameters.sources else None,
        )

    def _sources(self) -> ExtractionSources:
        document, schema = self._task.document, self._task.plan.original
        if self._lines is None:
            return find_sources(document, self._pages, self._value, schema)
        cited = self._lines.locate(self._value, json.loads(self._written), self.plan.source_prefix, schema)
        return to_wire(document, self._pages, self._value, cited, mode="cited")

    def _chunk(self, output: Any) -> ExtractionChunk:
        task = self._task
        # Not validated again: the machine makes JSON values only, and a check would walk all of it for each chunk.
        return ExtractionChunk.model_construct(
            id=task.id,
            file=task.document.ref,
            model=task.parameters.model,
            output=output,
            created_at=task.created_at,
            status="in_progress",
        )
