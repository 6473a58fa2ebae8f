"""How a document is read, decided before a token is spent: at once where it fits, else in which parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from statistics import median
from typing import TYPE_CHECKING, Literal

from local_retab.engine.pace import text_pace
from local_retab.engine.sequence import PromptPart
from local_retab.errors import ContextLengthError, FeatureNotAvailableError, ModalityError
from local_retab.extraction.chunking.lines import DocumentLines
from local_retab.extraction.chunking.rows import row_lines
from local_retab.extraction.chunking.schemas import item_plan, keys_plan, parts_plan, rest_plan
from local_retab.extraction.chunking.skeleton import skeleton
from local_retab.extraction.chunking.windows import Window, page_windows, row_windows
from local_retab.extraction.prompting import write_prompt
from local_retab.extraction.seeing import Sight, choose_budget, size_tokens
from local_retab.schema import has_array
from local_retab.wire import ExtractionPlan, PlannedPart

if TYPE_CHECKING:
    from local_retab.documents import Page
    from local_retab.engine.engine import Engine
    from local_retab.extraction.task import Task
    from local_retab.schema import SchemaPlan

Mode = Literal["at_once", "windows", "rows", "keys"]

ROWS_AT_ONCE = 25
"""Rows that deep_extraction asks for together. The starter model leaves rows out of longer tables."""
_ANSWER_SHARE = 4
"""An answer that is not known to need more is left a quarter of the context."""
_LIST_SHARE = 0.5
"""Tokens of the answer for each of the document's, where a list is asked for and no rows are seen."""
REST = ""
"""The place in ``ReadingPlan.inner`` of what is in no keyed array."""
_MARGIN = 0.85
"""Answers are planned to take so much of their limit: what they take is an estimate."""
_FEW_VALUES = 32
"""Tokens for the values of an answer whose keys have few."""
_SAMPLE = 20
"""Rows whose tokens are counted."""
_NOTE_TOKENS = 64
"""For what a part is told of being one."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What prompts and answers for a document take, in tokens.

    ``fixed`` is of every prompt, ``line`` of each line and ``image`` of each page; ``answer_fixed`` of every answer,
    and ``answer_row`` of each row in it, where rows are known, else ``answer_share`` of the document's tokens.
    """

    fixed: int
    sums: tuple[int, ...]
    images: tuple[int, ...]
    answer_fixed: int
    answer_row: float
    answer_share: float

    def cost(self, start: int, end: int) -> int:
        """The tokens of the lines from ``start`` up to ``end``."""
        return self.sums[end] - self.sums[start]

    def answer(self, tokens: int, rows: int) -> int:
        """The tokens of the answer to a part of the document."""
        return self.answer_fixed + round(self.answer_row * rows + self.answer_share * tokens)


@dataclass(frozen=True, slots=True)
class ReadingPlan:
    """The ``windows`` are empty where all is read at once; ``lines`` and ``measure`` are then not needed."""

    mode: Mode
    rows: tuple[int, ...]
    prompt_tokens: int
    computed_tokens: int
    """Of the prompts' tokens, those that are not of the beginning that all have in common."""
    output_tokens: int
    windows: tuple[Window, ...] = ()
    lines: DocumentLines | None = field(default=None, repr=False)
    measure: Measure | None = field(default=None, repr=False)
    seconds: float | None = None
    inner: Mapping[str, ReadingPlan] = field(default_factory=dict)
    """In mode keys: the plan for the keys of each array by its path, and for what is in none of them."""

    @property
    def in_parts(self) -> bool:
        """Whether the document is read in more than one prompt."""
        return self.mode != "at_once"

    def to_wire(self, pages: Sequence[Page]) -> ExtractionPlan:
        """The plan as responses carry it."""
        parts = [PlannedPart(first_page=pages[0].number, last_page=pages[-1].number, prompt_tokens=self.prompt_tokens)]
        if self.lines is not None and self.measure is not None and self.windows:
            parts = [
                PlannedPart(
                    first_page=self.lines.page_number(window.lines[0]),
                    last_page=self.lines.page_number(window.lines[-1]),
                    prompt_tokens=self.measure.fixed + window.tokens,
                )
                for window in self.windows
            ]
        return ExtractionPlan(
            mode=self.mode,
            pages=len(pages),
            rows=len(self.rows),
            prompt_tokens=self.prompt_tokens,
            output_tokens=self.output_tokens,
            seconds=None if self.seconds is None else round(self.seconds, 1),
            parts=parts,
        )


def plan_reading(
    task: Task, engine: Engine, sight: Sight, pages: Sequence[Page], *, timed: bool = False
) -> ReadingPlan:
    """How ``pages`` are read. Nothing is decoded, but for a measure of the pace of this machine where the plan is
    ``timed`` or has parts.

    Raises ContextLengthError where not even a part of a page fits, FeatureNotAvailableError for cited sources of a
    document that is read in parts, ModalityError for keys of a document without text, and RequestError for images
    that cannot be as small as asked.
    """
    plan = _plan(task, engine, sight, pages)
    if plan.in_parts and task.cites:
        raise FeatureNotAvailableError(
            f"sources.mode=cited: {task.document.filename!r} is read in {max(len(plan.windows), 2)} parts, and lines "
            f"are cited from what is read at once. Use located, or send fewer pages.",
            details={"fields": ["sources.mode"]},
        )
    if plan.in_parts or timed:
        pace = text_pace(engine)
        written = plan.output_tokens * task.parameters.n_consensus
        seconds = pace.prefill * plan.computed_tokens + pace.decode * written
        plan = replace(plan, seconds=seconds)
    return plan


def _plan(task: Task, engine: Engine, sight: Sight, pages: Sequence[Page]) -> ReadingPlan:
    parameters, context = task.parameters, engine.info.context_tokens
    if parameters.chunking_keys:
        return _plan_keys(task, engine, sight, pages, parameters.chunking_keys)
    text = Sight(images=False, text=sight.text)
    whole = _count(engine, write_prompt(task, engine, text, pages)) + sum(_image_tokens(task, engine, sight, pages))
    texts = [line for page in pages for line in page.text.split("\n")]
    rows = row_lines(texts) if sight.text else []
    listed = has_array(task.plan.original)
    head, row = _answers(engine, task.plan, [texts[line] for line in rows])
    answer = head + round(len(rows) * row if listed else 0)
    deep = bool(parameters.deep_extraction) and listed
    reserve = min(answer, context // _ANSWER_SHARE)
    writes = head == answer or answer <= _MARGIN * task.settings.max_output_tokens
    if whole + reserve <= context and writes and not (deep and len(rows) > ROWS_AT_ONCE):
        return ReadingPlan("at_once", tuple(rows), whole, whole, answer)
    return _plan_parts(replace(task, plan=parts_plan(task)), engine, sight, pages, deep=deep)


def _plan_keys(task: Task, engine: Engine, sight: Sight, pages: Sequence[Page], keys: Mapping[str, str]) -> ReadingPlan:
    """The rest of the schema in parts of its own, the keys of each array in others."""
    if not sight.text or not any(page.text.strip() for page in pages):
        raise ModalityError(
            f"chunking_keys: {task.document.filename!r} is shown to the model without text, in which keys could be "
            f"located. Use modality=auto or text, or leave chunking_keys out."
        )
    sight = Sight(images=False, text=True)
    inner: dict[str, ReadingPlan] = {}
    rest = rest_plan(task, keys)
    if rest is not None:
        deep = bool(task.parameters.deep_extraction)
        inner[REST] = _plan_parts(replace(task, plan=rest), engine, sight, pages, deep=deep)
    prompts = written = computed = 0
    for path, key in keys.items():
        inner[path] = _plan_parts(replace(task, plan=keys_plan(task, path, key)), engine, sight, pages, deep=True)
        lines, measure, rows = inner[path].lines, inner[path].measure, inner[path].rows
        assert lines is not None
        assert measure is not None
        head, _ = _answers(engine, item_plan(task, path), [])
        # Every item is read from its own lines once more, with a note of which one it is.
        own = measure.cost(0, len(lines)) + len(rows) * _NOTE_TOKENS
        computed += own
        prompts += own + len(rows) * measure.fixed
        written += sum(head + _tokens(engine, " ".join(lines.texts[row].split())) for row in rows)
    plans = inner.values()
    return replace(
        inner[next(iter(keys))],
        mode="keys",
        prompt_tokens=prompts + sum(plan.prompt_tokens for plan in plans),
        computed_tokens=computed + sum(plan.computed_tokens for plan in plans),
        output_tokens=written + sum(plan.output_tokens for plan in plans),
        inner=inner,
    )


def _plan_parts(task: Task, engine: Engine, sight: Sight, pages: Sequence[Page], *, deep: bool) -> ReadingPlan:
    """Parts of the document for the schema of ``task``; one where all of it fits."""
    lines = DocumentLines(pages)
    rows = row_lines(lines.texts) if sight.text else []
    measure = _measured(task, engine, sight, lines, rows)
    context, output = engine.info.context_tokens, _MARGIN * task.settings.max_output_tokens
    total = measure.cost(0, len(lines)) + sum(measure.images)
    growth = max(measure.answer(total, len(rows)) - measure.answer_fixed, 0) / max(total, 1)
    room = (context - measure.fixed - _NOTE_TOKENS - measure.answer_fixed) / (1 + growth)
    if growth:
        room = min(room, max(output - measure.answer_fixed, output / 2) / growth)
    if room < 1 or room < max(measure.images, default=0):
        raise ContextLengthError(
            f"{task.document.filename!r}: not even a part of a page fits the context of {engine.info.name}, "
            f"{context} tokens, of which the schema takes {measure.fixed}. Set LOCAL_RETAB_CONTEXT_TOKENS higher, or "
            f"send a smaller schema.",
            details={"prompt_tokens": measure.fixed, "limit": context},
        )
    by_rows = deep and bool(rows) and not sight.images
    if by_rows:
        windows = row_windows(lines, rows, measure.cost, int(room), ROWS_AT_ONCE)
    else:
        windows = page_windows(lines, rows, measure.cost, measure.images, int(room), overlap=not sight.images)
    if not sight.images:
        windows = [window for window in windows if any(lines.texts[line].strip() for line in window.lines)]
    return ReadingPlan(
        "rows" if by_rows else "windows",
        tuple(rows),
        sum(measure.fixed + window.tokens for window in windows),
        measure.fixed + sum(window.tokens + _NOTE_TOKENS for window in windows),
        measure.answer(total, len(rows)) + measure.answer_fixed * (len(windows) - 1),
        tuple(windows),
        lines,
        measure,
    )


def _measured(task: Task, engine: Engine, sight: Sight, lines: DocumentLines, rows: Sequence[int]) -> Measure:
    """What prompts and answers under the schema of ``task`` take."""
    text = Sight(images=False, text=sight.text)
    pages = lines.pages
    fixed = _count(engine, write_prompt(task, engine, text, [replace(pages[0], text="")]))
    tokens = [_tokens(engine, f"{line}\n") if sight.text else 0 for line in lines.texts]
    # Prompts have more than the lines: dates in a second form, page numbers. What that adds is spread over the lines.
    whole = _count(engine, write_prompt(task, engine, text, pages))
    scale = max((whole - fixed) / max(sum(tokens), 1), 1.0)
    sums = tuple(accumulate((round(count * scale + 0.5) for count in tokens), initial=0))
    listed = has_array(task.plan.original)
    head, row = _answers(engine, task.plan, [lines.texts[row] for row in rows])
    return Measure(
        fixed,
        sums,
        tuple(_image_tokens(task, engine, sight, pages)),
        head,
        row if listed and rows else 0.0,
        _LIST_SHARE if listed and not rows else 0.0,
    )


def _answers(engine: Engine, plan: SchemaPlan, texts: Sequence[str]) -> tuple[int, float]:
    """The tokens of an answer without its rows, and of one row: keys and what is printed in some of the ``texts``."""
    head, item = skeleton(plan.inference)
    sample = texts[:: max(len(texts) // _SAMPLE, 1)]
    row = median(_tokens(engine, " ".join(text.split())) for text in sample) if sample else 0
    return 2 * _tokens(engine, head) + _FEW_VALUES, row + _tokens(engine, item)


def _image_tokens(task: Task, engine: Engine, sight: Sight, pages: Sequence[Page]) -> list[int]:
    """Of each page: its image, and what stands around it in the prompt."""
    if not sight.images:
        return [0] * len(pages)
    budget, dpi = choose_budget(task.parameters, task.settings), task.parameters.image_resolution_dpi
    label = _tokens(engine, f"\n\n[page {len(pages)}]\n" + ("\nIts text:\n\n" if sight.text else ""))
    return [size_tokens(page.width, page.height, dpi, budget, engine) + label for page in pages]


def _count(engine: Engine, prompt: Sequence[object]) -> int:
    return len(engine.tokenize([part for part in prompt if isinstance(part, PromptPart)]).tokens)


def _tokens(engine: Engine, text: str) -> int:
    return len(engine.tokenize([PromptPart(text, trusted=False)]).tokens)
