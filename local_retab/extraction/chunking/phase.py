"""Windows of a document read under one schema, and the value that they make."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from local_retab.extraction.chunking.beside import PART_NOTE, Reading, beside, width_of
from local_retab.extraction.chunking.completeness import missing_rows
from local_retab.extraction.chunking.merging import Merged, Part, merge
from local_retab.extraction.chunking.planning import ROWS_AT_ONCE
from local_retab.extraction.chunking.rereading import Rereading
from local_retab.extraction.chunking.windows import Window, missed_windows
from local_retab.extraction.notices import absence_notices, budget_notices, circle_notices
from local_retab.extraction.partial import MISSING, Missing

if TYPE_CHECKING:
    from pydantic import JsonValue

    from local_retab.engine.engine import Engine
    from local_retab.engine.sequence import Statistics
    from local_retab.extraction.chunking.planning import ReadingPlan
    from local_retab.extraction.seeing import Sight
    from local_retab.extraction.task import Task
    from local_retab.wire import ExtractionNotice


@dataclass(slots=True)
class Outcome:
    """A value with all that is known of it; ``choices`` has the whole value of each vote where there are votes.

    ``items`` are the lines of the items of each array outside other arrays, by pointer.
    """

    value: JsonValue = None
    likelihoods: JsonValue = None
    choices: list[JsonValue] = field(default_factory=list)
    items: dict[str, list[int | None]] = field(default_factory=dict)
    notices: list[ExtractionNotice] = field(default_factory=list)
    statistics: list[Statistics] = field(default_factory=list)


class Phase:
    """Reads the windows of ``plan`` under the schema of ``task``.

    By rows, and where the token budget ended, lines that look like rows and have no item after their window was read
    are asked for once more. For ``texts_once`` see ``merge``.
    """

    def __init__(self, task: Task, engine: Engine, sight: Sight, plan: ReadingPlan, *, texts_once: bool = True) -> None:
        assert plan.lines is not None
        assert plan.measure is not None
        self._task, self._engine, self._sight = task, engine, sight
        self._plan, self._lines, self._measure = plan, plan.lines, plan.measure
        self._queue = deque(map(self._reading, plan.windows))
        self._open = list(plan.windows)
        self._read: list[tuple[Window, Part, list[JsonValue], Reading]] = []
        self._rereading = Rereading(self._lines)
        self._merge = partial(merge, lines=self._lines, texts_once=texts_once)
        self._lists_rows = False
        self._asked_again: set[Window] = set()

    def run(self) -> Iterator[None]:
        """Read all windows; yields whenever one is complete. Closing the iterator stops all."""
        for reading in beside(self._queue, self._engine, width_of(self._task)):
            value, cut_at = reading.answer.value, reading.answer.cut_at
            if cut_at and not self._votes and not reading.window.again and self._plan.rows:
                value = without_cut(value, cut_at)
            value = self._rereading.reread(value, reading.window.lines, reading.answer.plan.validate)
            part = Part(value, reading.answer.likelihoods, reading.window.lines, items_only=reading.window.again)
            self._read.append((reading.window, part, reading.answer.consensus.choices, reading))
            self._read.sort(key=lambda read: (read[0].start, read[0].again))
            self._open.remove(reading.window)
            if (self._plan.mode == "rows" or cut_at) and not reading.window.again:
                self._ask_again(reading.window, part)
            yield

    def snapshot(self) -> JsonValue | Missing:
        """What the windows that were read say and those that were not cannot change."""
        # What no window states may be asked for once more, so nulls wait for the end.
        before = min((window.start for window in self._open), default=len(self._lines))
        known = [part for window, part, *_ in self._read if window.start < before]
        return self._merge(known, before=before).value if known else MISSING

    def outcome(self) -> Outcome:
        """The value of all windows together."""
        merged = self._merged()
        value = None if isinstance(merged.value, Missing) else merged.value
        return Outcome(
            value=value,
            likelihoods=merged.likelihoods,
            choices=[self._choice(vote) for vote in range(self._votes)],
            items=merged.items,
            notices=list(self._notices(merged)),
            statistics=[spent for *_, reading in self._read for spent in reading.answer.statistics],
        )

    @property
    def _votes(self) -> int:
        count = self._task.parameters.n_consensus
        return count if count > 1 else 0

    def _merged(self) -> Merged:
        return self._merge([part for _, part, *_ in self._read])

    def _choice(self, vote: int) -> JsonValue:
        """The value that one vote of each window makes; its result where that was not valid."""
        parts = [
            replace(part, value=votes[vote], placed={}) if vote < len(votes) else part
            for _, part, votes, _ in self._read
        ]
        value = self._merge(parts).value
        return None if isinstance(value, Missing) else value

    def _notices(self, merged: Merged) -> Iterator[ExtractionNotice]:
        """What was noticed of each window, at its place in the whole, if it still holds there."""
        for number, (window, _, _, reading) in enumerate(self._read):
            cut_at = reading.answer.cut_at
            if cut_at is not None and window not in self._asked_again:
                yield from budget_notices(merged.pointer(number, cut_at), self._task.settings)
            if window.again:
                continue
            yield from circle_notices([merged.pointer(number, path) for path in reading.answer.circles])
            for notice in absence_notices(reading.answer.unprinted):
                path = merged.pointer(number, notice.path)
                if value_at(merged.value, path) is None:
                    yield notice.model_copy(update={"path": path})

    def _reading(self, window: Window) -> Reading:
        inside = set(window.lines)
        rows = sum(row in inside for row in self._plan.rows)
        expected = self._measure.fixed + window.tokens + self._measure.answer(window.tokens, rows) * max(self._votes, 1)
        note = PART_NOTE if len(self._plan.windows) > 1 else ""
        return Reading(self._task, self._engine, self._sight, self._lines, window, expected, note)

    def _ask_again(self, window: Window, part: Part) -> None:
        """Queue the rows of a window that have no item, if rows are what the answers list at all."""
        inside = set(window.lines)
        rows = [row for row in self._plan.rows if row in inside]
        places = [line for found in self._merge([part]).items.values() for line in found]
        missed = missing_rows(rows, places)
        self._lists_rows = self._lists_rows or len(missed) < len(rows)
        if not missed or not self._lists_rows:
            return
        again = missed_windows(self._lines, self._plan.rows, missed, self._measure.cost, ROWS_AT_ONCE)
        self._asked_again.add(window)
        self._open += again
        self._queue.extendleft(map(self._reading, reversed(again)))


def without_cut(value: JsonValue, pointer: str) -> JsonValue:
    """A value without the item of an array, the outermost one, that the pointer of the cut is in: it was closed
    without the model."""
    segments = pointer.split("/")[1:]
    if isinstance(value, list) and segments:
        return value[: int(segments[0])]
    if isinstance(value, dict) and segments:
        key = segments[0].replace("~1", "/").replace("~0", "~")
        if key in value:
            return {**value, key: without_cut(value[key], pointer[1 + len(segments[0]) :])}
    return value


def value_at(value: JsonValue | Missing, pointer: str) -> JsonValue | Missing:
    """The value at a JSON pointer; MISSING where there is none."""
    here = value
    for segment in pointer.split("/")[1:]:
        key = segment.replace("~1", "/").replace("~0", "~")
        if isinstance(here, dict) and key in here:
            here = here[key]
        elif isinstance(here, list) and key.isdecimal() and int(key) < len(here):
            here = here[int(key)]
        else:
            return MISSING
    return here
