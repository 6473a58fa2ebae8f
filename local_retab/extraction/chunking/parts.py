"""An extraction in parts, from the plan to chunks."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from local_retab.errors import SchemaError
from local_retab.extraction.anchoring import find_sources
from local_retab.extraction.chunking.beside import Reading
from local_retab.extraction.chunking.completeness import row_notices
from local_retab.extraction.chunking.keyed import KeyedArray
from local_retab.extraction.chunking.phase import Outcome, Phase, value_at
from local_retab.extraction.chunking.planning import REST
from local_retab.extraction.chunking.schemas import parts_plan, rest_plan, stated_plan
from local_retab.extraction.finishing import Result, chunk_of, extraction_of
from local_retab.extraction.notices import forbidden_nulls
from local_retab.extraction.partial import Missing
from local_retab.extraction.seeing import Sight
from local_retab.schema import unstated
from local_retab.schema.dialect import unescape
from local_retab.wire import Consensus

if TYPE_CHECKING:
    from pydantic import JsonValue

    from local_retab.documents import Page
    from local_retab.engine.engine import Engine
    from local_retab.extraction.chunking.planning import ReadingPlan
    from local_retab.extraction.task import Task
    from local_retab.wire import ExtractionChunk


def extract_in_parts(
    task: Task, engine: Engine, sight: Sight, pages: Sequence[Page], plan: ReadingPlan
) -> Generator[ExtractionChunk, None, None]:
    """Read the parts of ``plan``, yield what no later part can change whenever there is more of it, then the whole.

    Raises OutputValidationError where the parts together are no value of the caller's schema, and what a part raises.
    """
    if plan.mode == "keys":
        sight = Sight(images=False, text=True)
    reading = _InParts(task, engine, sight, plan)
    with closing(reading.run()) as steps:
        for _ in _due(task, steps):
            output = reading.snapshot()
            if not isinstance(output, Missing):
                yield chunk_of(task, output)
    outcome = reading.outcome()
    task.plan.validate(outcome.value)
    yield extraction_of(task, _result(task, pages, plan, outcome))


def _due(task: Task, steps: Iterable[None]) -> Iterator[None]:
    """The steps after which a snapshot is wanted: as often as agreed, never where validation may refuse the value."""
    pause = 1 / task.settings.chunks_per_second
    shown_at = -pause
    for _ in steps:
        if not task.plan.deferred and time.monotonic() - shown_at >= pause:
            shown_at = time.monotonic()
            yield


class _InParts:
    """What is in no keyed array by windows, then each keyed array."""

    def __init__(self, task: Task, engine: Engine, sight: Sight, plan: ReadingPlan) -> None:
        self._task, self._engine, self._sight, self._plan = task, engine, sight, plan
        keys = task.parameters.chunking_keys or {}
        whole = rest_plan(task, keys) if keys else parts_plan(task)
        self._windows = plan.inner.get(REST) if keys else plan
        self._rest: Phase | None = None
        if whole is not None and self._windows is not None:
            self._rest = Phase(replace(task, plan=whole), engine, sight, self._windows)
        self._arrays = [KeyedArray(task, engine, sight, path, key, plan.inner[path]) for path, key in keys.items()]
        self._outcome: Outcome | None = None

    def run(self) -> Generator[None, None, None]:
        """Read everything; yields whenever more can be shown."""
        if self._rest is not None:
            yield from self._rest.run()
        for array in self._arrays:
            yield from array.run()
        self._outcome = self._joined()
        yield from self._state_missing(self._outcome)

    def snapshot(self) -> JsonValue | Missing:
        """What can be shown; equal to what was shown before where nothing can be."""
        value: JsonValue | Missing = self._rest.snapshot() if self._rest is not None else {}
        for array in self._arrays:
            if items := array.snapshot():
                value = _put({} if isinstance(value, Missing) else value, array.path.split("."), items)
        return value if isinstance(value, Missing) else self._arranged(self._stated(value))

    def outcome(self) -> Outcome:
        assert self._outcome is not None, "run comes first"
        return self._outcome

    def _joined(self) -> Outcome:
        """The rest and the keyed arrays as one."""
        whole = self._rest.outcome() if self._rest is not None else Outcome(value={}, likelihoods={})
        for array in self._arrays:
            found, path = array.outcome(), array.path.split(".")
            whole.value = _put(whole.value, path, found.value)
            whole.likelihoods = _put(whole.likelihoods, path, found.likelihoods)
            whole.choices = [
                _put(choice, path, other)
                for choice, other in zip(whole.choices or [{} for _ in found.choices], found.choices, strict=True)
            ]
            whole.items |= found.items
            whole.notices += found.notices
            whole.statistics += found.statistics
        gone = unstated(whole.value, self._task.plan.original)
        whole.value = self._arranged(without_members(whole.value, gone))
        whole.likelihoods = self._arranged(without_members(whole.likelihoods, gone))
        whole.choices = [self._stated(choice) for choice in whole.choices]
        lines, rows = self._plan.lines, self._plan.rows
        assert lines is not None
        asked = self._plan.mode in ("rows", "keys")
        whole.notices += row_notices(rows, whole.items, lines, asked=asked)
        return whole

    def _stated(self, value: JsonValue) -> JsonValue:
        """``value`` without the objects that were written for parts of the document alone."""
        return without_members(value, unstated(value, self._task.plan.original))

    def _arranged(self, value: JsonValue) -> JsonValue:
        """The members of the root in the order of the caller's schema, where keyed arrays came last."""
        if not self._arrays or not isinstance(value, dict):
            return value
        order = [name for name in self._task.plan.original.get("properties", ()) if name in value]
        return {name: value[name] for name in order} | value

    def _state_missing(self, outcome: Outcome) -> Iterator[None]:
        """Ask the first part for what no part states and the schema does not let be null: there such things stand."""
        held = self._task.plan.held
        missing = [path for path in forbidden_nulls(outcome.value, held) if path and not _in_array(path)]
        windows = self._windows or self._plan
        if not missing or not windows.windows or windows.lines is None:
            return
        names = {unescape(path.split("/")[1]) for path in missing}
        try:
            task = replace(self._task, plan=stated_plan(self._task, names))
        except SchemaError:
            return  # the properties cannot be asked for alone; validation names them
        reading = Reading(task, self._engine, self._sight, windows.lines, windows.windows[0], 0, "")
        reading.start()
        try:
            while not reading.advance(wait=True):
                continue
        finally:
            reading.close()
        outcome.statistics += reading.answer.statistics
        for path in missing:
            found = value_at(reading.answer.value, path)
            if not isinstance(found, Missing):
                keys = [unescape(segment) for segment in path.split("/")[1:]]
                likelihood = value_at(reading.answer.likelihoods, path)
                outcome.value = _put(outcome.value, keys, found)
                outcome.likelihoods = _put(
                    outcome.likelihoods, keys, None if isinstance(likelihood, Missing) else likelihood
                )
        yield


def _result(task: Task, pages: Sequence[Page], plan: ReadingPlan, outcome: Outcome) -> Result:
    schema = task.plan.original
    sources = find_sources(task.document, pages, outcome.value, schema) if task.parameters.sources else None
    votes = task.parameters.n_consensus > 1
    consensus = Consensus(choices=outcome.choices, likelihoods=outcome.likelihoods) if votes else Consensus()
    return Result(
        value=outcome.value,
        likelihoods=outcome.likelihoods,
        statistics=outcome.statistics,
        notices=outcome.notices,
        plan=plan.to_wire(pages),
        consensus=consensus,
        sources=sources,
    )


def _put(value: JsonValue, path: Sequence[str], item: JsonValue) -> JsonValue:
    """``value`` with ``item`` at the path of keys; what is no object on the way there becomes one."""
    if not path:
        return item
    members: dict[str, Any] = value if isinstance(value, dict) else {}
    return {**members, path[0]: _put(members.get(path[0]), path[1:], item)}


def without_members(value: JsonValue, paths: Iterable[Sequence[str]]) -> JsonValue:
    """``value`` without the members at these paths of keys."""
    for path in paths:
        value = _without(value, path)
    return value


def _without(value: JsonValue, path: Sequence[str]) -> JsonValue:
    if not isinstance(value, dict) or path[0] not in value:
        return value
    if len(path) == 1:
        return {key: item for key, item in value.items() if key != path[0]}
    return {**value, path[0]: _without(value[path[0]], path[1:])}


def _in_array(pointer: str) -> bool:
    return any(segment.isdecimal() for segment in pointer.split("/"))
