"""The sampled votes of a consensus: further answers to the same prompt, decoded beside the first one.

They draw with seeds of their own and share all that they have in common (see ``engine.following``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from local_retab.errors import OutputValidationError
from local_retab.extraction.partial import MISSING, Missing, PartialJson, PartialJsonError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from pydantic import JsonValue

    from local_retab.engine.sequence import Generation, Statistics, TokenEvent


class Ballots:
    """Reads ``generations``; ``machine`` makes what reads one answer; ``validate`` raises OutputValidationError for an
    answer that breaks the schema, which is then no vote."""

    def __init__(
        self,
        generations: Sequence[Generation],
        machine: Callable[[], PartialJson],
        validate: Callable[[JsonValue], None],
    ) -> None:
        self._validate = validate
        self._all = generations
        self._running = [(generation, machine()) for generation in generations]

    def advance(self) -> None:
        """Read what the votes have written since."""
        for vote in self._running:
            self._read(vote, vote[0].ready())

    def agreed(self, first: PartialJson) -> JsonValue | Missing:
        """What the first answer and all votes have in common so far; no later agreement takes any of it back."""
        return common([first.complete(), *(machine.complete() for _, machine in self._running)])

    def finish(self) -> list[JsonValue]:
        """Wait for the votes; those that are valid, in the order of their seeds."""
        votes: list[JsonValue] = []
        for vote in list(self._running):
            self._read(vote, vote[0])
        for _, machine in self._running:
            try:
                value = machine.flush()
                self._validate(value)
            except (PartialJsonError, OutputValidationError):
                continue
            votes.append(value)
        return votes

    def _read(self, vote: tuple[Generation, PartialJson], events: Iterable[TokenEvent]) -> None:
        """Feed events to a vote's machine; a vote that is not JSON is no longer one."""
        generation, machine = vote
        try:
            for event in events:
                machine.feed(event.data, circular=event.circular)
        except PartialJsonError:
            generation.cancel()
            self._running = [other for other in self._running if other is not vote]

    @property
    def wanted(self) -> bool:
        """Whether there are any."""
        return bool(self._all)

    @property
    def statistics(self) -> list[Statistics]:
        return [generation.statistics for generation in self._all]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for generation in self._all:
            generation.cancel()


def common(values: Sequence[JsonValue | Missing]) -> JsonValue | Missing:
    """The part of values in the making on which all agree: equal scalars, the keys of objects whose values agree,
    the items of arrays up to the first difference. The last item of an array may still grow and is left out."""
    first = values[0]
    if isinstance(first, dict):
        objects = [value for value in values if isinstance(value, dict)]
        if len(objects) < len(values):
            return MISSING
        inner = {key: common([value.get(key, MISSING) for value in objects]) for key in first}
        return {key: value for key, value in inner.items() if not isinstance(value, Missing)}
    if isinstance(first, list):
        arrays = [value for value in values if isinstance(value, list)]
        if len(arrays) < len(values):
            return MISSING
        items: list[JsonValue] = []
        for group in zip(*(array[:-1] for array in arrays), strict=False):
            if len({json.dumps(item) for item in group}) > 1:
                break
            items.append(group[0])
        return items
    same = all(not isinstance(value, Missing) and json.dumps(value) == json.dumps(first) for value in values)
    return first if same else MISSING
