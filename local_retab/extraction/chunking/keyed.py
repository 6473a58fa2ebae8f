"""The items of an array by their keys: the keys first, then each item from the lines that are its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from local_retab.extraction.chunking.beside import Reading, beside, width_of
from local_retab.extraction.chunking.phase import Outcome, Phase
from local_retab.extraction.chunking.rereading import Rereading
from local_retab.extraction.chunking.schemas import item_plan, keys_plan
from local_retab.extraction.chunking.windows import Window, segment_windows
from local_retab.extraction.notices import absence_notices, budget_notices, circle_notices
from local_retab.schema import KEYS
from local_retab.schema.dialect import escape
from local_retab.wire import ExtractionNotice

if TYPE_CHECKING:
    from pydantic import JsonValue

    from local_retab.engine.engine import Engine
    from local_retab.extraction.chunking.planning import ReadingPlan
    from local_retab.extraction.seeing import Sight
    from local_retab.extraction.task import Task

_MOST_SHOWN = 10
_TOLD_TOGETHER = 25
"""Items; they show what their columns have in common, and are shown when so many more are complete."""


class KeyedArray:
    """The array at the dotted ``path``, whose items have their keys at ``key``, read by ``plan``."""

    def __init__(self, task: Task, engine: Engine, sight: Sight, path: str, key: str, plan: ReadingPlan) -> None:
        self.path = path
        self.pointer = "".join(f"/{escape(name)}" for name in path.split("."))
        self._key = key.split(".")
        self._task, self._engine, self._sight, self._plan = task, engine, sight, plan
        keys = replace(task, plan=keys_plan(task, path, key))
        self._keys = Phase(keys, engine, sight, plan, texts_once=False)  # equal keys on other lines are other items
        assert plan.lines is not None
        self._rereading = Rereading(plan.lines)
        self._found: list[tuple[JsonValue, int]] = []
        """The keys that stand in the document, in its order, each with its line."""
        self._items: list[Reading | None] = []
        self._complete = 0
        self._told: list[JsonValue] = []
        """The first items, as their columns have them."""

    def run(self) -> Iterator[None]:
        """Find the keys, then read their items; yields whenever more items can be shown."""
        for _ in self._keys.run():
            yield
        keys = self._keys.outcome()
        values = keys.value.get(KEYS) if isinstance(keys.value, dict) else None
        places = keys.items.get(f"/{KEYS}", [])
        pairs = zip(values if isinstance(values, list) else [], places, strict=True)
        self._found = [(value, line) for value, line in pairs if line is not None and value is not None]
        self._items = [None] * len(self._found)
        yield from self._read_items()

    def _read_items(self) -> Iterator[None]:
        assert self._plan.lines is not None
        assert self._plan.measure is not None
        starts = sorted({line for _, line in self._found})
        windows = segment_windows(self._plan.lines, self._plan.rows, starts, self._plan.measure.cost)
        own = dict(zip(starts, windows, strict=True))
        task = replace(self._task, plan=item_plan(self._task, self.path))
        readings = [self._reading(task, value, own[line]) for value, line in self._found]
        numbers = {id(reading): number for number, reading in enumerate(readings)}
        for reading in beside(deque(readings), self._engine, width_of(task)):
            self._items[numbers[id(reading)]] = reading
            while self._complete < len(self._items) and self._items[self._complete] is not None:
                self._complete += 1
            if self._complete == len(self._items) or self._complete >= len(self._told) + _TOLD_TOGETHER:
                self._tell()
            yield

    def _tell(self) -> None:
        """Read the items that are complete now by their lines."""
        new = self._known()[len(self._told) : self._complete]
        items = [self._item(number, reading.answer.value) for number, reading in new]
        places = [self._found[number][1] for number, _ in new]
        validate = new[0][1].answer.plan.validate
        self._told += self._rereading.reread_items(items, places, validate)

    def snapshot(self) -> list[JsonValue]:
        """The items before the first that is not complete, but for a few."""
        return self._told[:]

    def outcome(self) -> Outcome:
        """The whole array. The ``items`` of the outcome are the lines of the keys."""
        keys = self._keys.outcome()
        known = self._known()
        notices = list(self._key_notices(keys))
        for number, reading in known:
            at = f"{self.pointer}/{number}"
            if reading.answer.cut_at is not None:
                notices += budget_notices(at + reading.answer.cut_at, self._task.settings)
            notices += circle_notices([at + path for path in reading.answer.circles])
            notices += absence_notices([at + path for path in reading.answer.unprinted])
        votes = self._task.parameters.n_consensus
        return Outcome(
            value=self._told[:],
            likelihoods=[reading.answer.likelihoods for _, reading in known],
            choices=[
                [self._item(number, _vote(reading, vote)) for number, reading in known]
                for vote in range(votes if votes > 1 else 0)
            ],
            items={self.pointer: [line for _, line in self._found]},
            notices=notices,
            statistics=[*keys.statistics, *(spent for _, reading in known for spent in reading.answer.statistics)],
        )

    def _known(self) -> list[tuple[int, Reading]]:
        return [(number, reading) for number, reading in enumerate(self._items) if reading is not None]

    def _item(self, number: int, item: JsonValue) -> JsonValue:
        """The item with the key by which it was found, which is printed, whatever the answer has in its place."""
        return _with_key(item, self._key, self._found[number][0])

    def _reading(self, task: Task, value: JsonValue, window: Window) -> Reading:
        assert self._plan.lines is not None
        assert self._plan.measure is not None
        measure = self._plan.measure
        cells = measure.fixed + window.tokens + 2 * measure.answer_fixed * task.parameters.n_consensus
        note = f"\n\nThis is a part of a longer document. Give the one item of it whose {self._key[-1]} is {value}."
        return Reading(task, self._engine, self._sight, self._plan.lines, window, cells, note)

    def _key_notices(self, keys: Outcome) -> Iterator[ExtractionNotice]:
        values = keys.value.get(KEYS) if isinstance(keys.value, dict) else None
        places = keys.items.get(f"/{KEYS}", [])
        found = [value for value, _ in self._found]
        pairs = zip(values if isinstance(values, list) else [], places, strict=True)
        lost = [value for value, line in pairs if line is None and value not in found]
        if lost:
            shown = ", ".join(map(str, lost[:_MOST_SHOWN])) + (", …" if len(lost) > _MOST_SHOWN else "")
            yield ExtractionNotice(
                code="KEYS_NOT_FOUND",
                path=self.pointer,
                message=f"The model gave {len(lost)} keys that are not printed where it read them; there are no items "
                f"for them: {shown}.",
            )


def _vote(reading: Reading, vote: int) -> JsonValue:
    choices = reading.answer.consensus.choices
    return choices[vote] if vote < len(choices) else reading.answer.value


def _with_key(item: JsonValue, path: list[str], key: JsonValue) -> JsonValue:
    if not path:
        return key
    name, *rest = path
    members = item if isinstance(item, dict) else {}
    return {**members, name: _with_key(members.get(name), rest, key)}
