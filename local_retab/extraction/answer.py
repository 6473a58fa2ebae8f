"""The model's answer to one prompt: the value as it comes in, what is shown of it, and whether it is asked again."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from local_retab.engine.sampler import Sampling
from local_retab.engine.sequence import Limits, PromptPart, document_start
from local_retab.errors import OutputValidationError, SchemaError
from local_retab.extraction.absence import Absence
from local_retab.extraction.ballots import Ballots
from local_retab.extraction.beginnings import Beginnings, is_address
from local_retab.extraction.company_names import CompanyNames, is_company
from local_retab.extraction.consensus import reconcile
from local_retab.extraction.copying import Copies
from local_retab.extraction.echoes import descriptions
from local_retab.extraction.field_names import has_field
from local_retab.extraction.likelihood import TokenLikelihoods
from local_retab.extraction.notices import synthesised_paths
from local_retab.extraction.partial import MISSING, Missing, PartialJson, PartialJsonError
from local_retab.extraction.totals import Totals, is_total
from local_retab.wire import Consensus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pydantic import JsonValue

    from local_retab.documents import Page
    from local_retab.engine.engine import Engine
    from local_retab.engine.sequence import Generation, ImagePart, Statistics
    from local_retab.engine.veto import Veto
    from local_retab.extraction.task import Task

_VETOES: tuple[tuple[Callable[[Sequence[str]], Veto], Callable[[str], bool]], ...] = (
    (Beginnings, is_address),
    (CompanyNames, is_company),
    (Totals, is_total),
)
"""What knows something of the fields with certain names from the texts of a document."""


class Answer:
    """The value of ``task.plan`` that is read from ``pages``, in as many attempts as it takes.

    Without ``shows`` no attempt yields anything, so that a refused one can always be made again. ``beside`` is how
    many answers share the machine, each of which then has so many times as long.
    """

    def __init__(self, task: Task, pages: Sequence[Page], *, shows: bool = True, beside: int = 1) -> None:
        self._task = task
        self._beside = beside
        self.plan = task.plan
        self._shows = shows
        known = any(page.text.strip() for page in pages)
        self._absence = Absence(pages if known else None, descriptions(task.plan.original))
        texts = [page.text for page in pages]
        schema = task.plan.original
        self._vetoes = [read(texts) for read, judge in _VETOES if known and has_field(schema, judge)]
        self._problem: OutputValidationError | None = None
        self._likelihoods = TokenLikelihoods()
        self._attempts = 0
        self.value: JsonValue = None
        self.written = bytearray()
        self.cut_at: str | None = None
        """The pointer at which the token budget ended."""
        self.synthesised: list[str] = []
        """Pointers of the values that were closed without the model."""
        self._complete: JsonValue | Missing = MISSING  # what was, when the budget ended
        self.unprinted: list[str] = []
        """Pointers of values that were taken for null."""
        self.circles: list[str] = []
        """Pointers of arrays that were ended as their items repeated."""
        self.consensus = Consensus()
        self.statistics: list[Statistics] = []
        self.wanted = True

    @property
    def likelihoods(self) -> JsonValue:
        """A tree that mirrors the value: from the tokens of a single answer, else from the votes."""
        votes = self._task.parameters.n_consensus > 1
        return self.consensus.likelihoods if votes else self._likelihoods.tree(self.value)

    @property
    def limits(self) -> Limits:
        settings = self._task.settings
        return Limits(output_tokens=settings.max_output_tokens, seconds=settings.max_generation_seconds * self._beside)

    def corrected(self, prompt: list[PromptPart | ImagePart]) -> list[PromptPart | ImagePart]:
        """The prompt; after an answer that failed validation, with the reason before the answer begins."""
        if self._problem is None:
            return prompt
        note = f"\n\nAn earlier answer was refused: {self._problem.message} Answer so that this does not happen."
        return with_note(prompt, note)

    def submit(self, engine: Engine, prompt: list[PromptPart | ImagePart]) -> Generation:
        """Start an attempt, with its votes."""
        texts = [part.text for part in prompt[document_start(prompt) :] if isinstance(part, PromptPart)]
        generation = engine.submit(
            self.corrected(prompt),
            self.plan.grammar,
            self.limits,
            drafter=partial(Copies, texts, self.plan.reasoning_prefix),
            vetoes=self._vetoes,
            votes=[Sampling(seed) for seed in range(1, self._task.parameters.n_consensus)],
            background=self._task.background,
        )
        for vote in generation.votes:
            self._task.stop.watch(vote)
        return self._task.stop.watch(generation)

    def ballots(self, generation: Generation) -> Ballots:
        """The sampled votes beside one attempt; none at n_consensus 1."""
        plan = self.plan
        return Ballots(generation.votes, lambda: PartialJson(plan.shape, self._absence), plan.validate)

    def attempt(self, generation: Generation, ballots: Ballots) -> Iterator[JsonValue | Missing]:
        """One attempt: after each event the visible value where it is to be shown, else MISSING; then validation.

        Raises OutputValidationError for a value that breaks the caller's schema when the attempts are used up.
        """
        machine = PartialJson(self.plan.shape, self._absence)
        shown = False
        try:
            for output in self._snapshots(generation, machine, ballots):
                shown = shown or output is not MISSING
                yield output
            self.value = machine.flush()
            if self.cut_at is not None:
                self.synthesised = synthesised_paths(self.value, self._complete)
            self.plan.validate(self.value)
            if ballots.wanted:
                self._reconcile([self.value, *ballots.finish()])
            self.unprinted, self.circles = machine.absent, machine.circles
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
        self.statistics += [generation.statistics, *ballots.statistics]

    def _reconcile(self, votes: list[JsonValue]) -> None:
        """Make the votes one value; where the schema does not hold it, the vote that is most like it."""
        agreement = reconcile(votes, self.plan.held)
        try:
            self.plan.validate(agreement.value)
            self.value = agreement.value
        except OutputValidationError:
            self.value = votes[agreement.best_vote()]
            agreement = reconcile([self.value, *votes], self.plan.held)
        self.consensus = Consensus(choices=votes, likelihoods=agreement.likelihoods)

    def _snapshots(
        self, generation: Generation, machine: PartialJson, ballots: Ballots
    ) -> Iterator[JsonValue | Missing]:
        """The visible value whenever it changed, not faster than agreed."""
        pause = 1 / self._task.settings.chunks_per_second
        shown_at = -pause
        changed = False
        self.cut_at, self.synthesised = None, []
        self._likelihoods = TokenLikelihoods()
        self.written = bytearray()
        # Where validation may still refuse the value, nothing is shown: a snapshot is never taken back.
        shows = self._shows and not self.plan.deferred
        for event in generation:
            if event.synthesised and self.cut_at is None:
                self.cut_at, self._complete = machine.path(), machine.cut()
            self.written += event.data
            path = machine.path() if event.logprob is not None else ""
            changed = machine.feed(event.data, circular=event.circular) or changed
            if event.logprob is not None:
                self._likelihoods.add(path, event.logprob)
            ballots.advance()
            output: JsonValue | Missing = MISSING
            if changed and shows and time.monotonic() - shown_at >= pause:
                output = self._visible(machine, ballots)
                if output is not MISSING:
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


def with_note(prompt: list[PromptPart | ImagePart], note: str) -> list[PromptPart | ImagePart]:
    """The prompt with a further text before the answer begins, of the same part as the text that says the document:
    a part of its own would be taken for the document (``document_start``)."""
    *head, tail = prompt
    if head and isinstance(last := head[-1], PromptPart) and not last.trusted:
        return [*head[:-1], PromptPart(last.text + note, trusted=False), tail]
    return [*head, PromptPart(note, trusted=False), tail]
