"""Which KV slots hold which tokens, and the reuse of the longest prefix that is already there.

A slot keeps its KV after its sequence has ended. A new sequence takes over or shares the longest common prefix of
any slot, running ones included; the least recently used idle slots make room. Cells are counted once however many
slots share them, as llama.cpp's unified cache stores them. A prefix never ends within an image.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from local_retab.engine.images import position_at, whole_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local_retab.engine.backend import Backend
    from local_retab.engine.images import ImageSpan


MAX_IDLE_CELLS = 2048  # on a processor, beside running sequences


@dataclass(slots=True)
class _Slot:
    number: int
    tokens: list[int] = field(default_factory=list)
    cells: list[int] = field(default_factory=list)
    stable: int = 0
    busy: bool = False
    used_at: int = 0


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many leading tokens are equal."""
    length = min(len(left), len(right))
    if left[:length] == right[:length]:
        return length
    return next(index for index in range(length) if left[index] != right[index])


class PrefixPool:
    """The KV slots of one backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._slots = [_Slot(number) for number in range(backend.info.sequences)]
        self._holders: dict[int, int] = {}
        self._cells = itertools.count()
        self._clock = itertools.count(1)

    @property
    def used_cells(self) -> int:
        return len(self._holders)

    def acquire(
        self, tokens: Sequence[int], images: Sequence[ImageSpan] = (), *, stable: int = 0
    ) -> tuple[int, int] | None:
        """A slot for a sequence that begins with ``tokens``: (slot, leading tokens already computed in it).

        ``stable`` of them are likely to be shared by later sequences.

        At least the last token is left to compute, for its logits. None when every slot is running.
        """
        idle = sorted((slot for slot in self._slots if not slot.busy), key=lambda slot: slot.used_at)
        if not idle:
            return None
        source, reused = None, 0
        if self._backend.info.prefix_sharing:
            for slot in self._slots:
                common = whole_images(min(common_prefix(slot.tokens, tokens), len(tokens) - 1), images)
                if common > reused:
                    source, reused = slot, common
        if source is not None and not source.busy and (reused == len(source.tokens) or len(idle) == 1):
            target = source
        else:
            # An empty slot if there is one, else the least recently used that is not the source itself.
            target = min(
                (slot for slot in idle if slot is not source),
                key=lambda slot: (bool(slot.tokens), slot.used_at),
                default=idle[0],
            )
        if target is source:
            reused = self._cut(target, reused, images)
        else:
            self._cut(target, 0)
            if source is not None:
                self._backend.share(source.number, target.number, position_at(reused, images))
                target.tokens = list(source.tokens[:reused])
                target.cells = source.cells[:reused]
                for cell in target.cells:
                    self._holders[cell] += 1
        target.busy = True
        target.stable = stable
        target.used_at = next(self._clock)
        if self._backend.info.device == "cpu":
            self._shed()
        return target.number, reused

    def _shed(self) -> None:
        """Drop what idle slots hold beyond what other sequences may share, and the oldest of it where it is much.

        A decode call on a processor looks at every used cell, also at those of other sequences: 1,500 idle cells cost
        a 1.5-billion-parameter model a third of its speed.
        """
        idle = [slot for slot in self._slots if not slot.busy and slot.tokens]
        for slot in idle:
            self._cut(slot, min(slot.stable, len(slot.tokens)))
        idle.sort(key=lambda slot: slot.used_at)
        busy = {cell for slot in self._slots if slot.busy for cell in slot.cells}
        while idle and len(self._holders) - len(busy) > MAX_IDLE_CELLS:
            self._cut(idle.pop(0), 0)

    def restore(self, slot: int, tokens: Sequence[int], state: bytes | memoryview) -> bool:
        """Fill a slot with the KV of ``tokens`` from a snapshot, in place of what it holds. False: it is empty."""
        entry = self._slots[slot]
        self._cut(entry, 0)
        if not self._backend.restore(slot, state):
            return False
        self.extend(slot, tokens)
        return True

    def extend(self, slot: int, tokens: Sequence[int]) -> None:
        """Note that ``tokens`` were computed at the end of ``slot``."""
        entry = self._slots[slot]
        cells = list(itertools.islice(self._cells, len(tokens)))
        entry.tokens.extend(tokens)
        entry.cells.extend(cells)
        self._holders.update(dict.fromkeys(cells, 1))

    def cut(self, slot: int, length: int, images: Sequence[ImageSpan] = ()) -> int:
        """Keep the first ``length`` tokens of ``slot``, with ``images`` among them; returns how many were kept."""
        return self._cut(self._slots[slot], length, images)

    def release(self, slot: int, *, keep: bool) -> None:
        """The sequence in ``slot`` has ended; its KV stays for reuse, unless it is not to be trusted."""
        entry = self._slots[slot]
        entry.busy = False
        entry.used_at = next(self._clock)
        if not keep:
            self._cut(entry, 0)

    def evict(self) -> bool:
        """Drop the least recently used idle KV. False when there is none."""
        idle = [slot for slot in self._slots if not slot.busy and slot.tokens]
        if not idle:
            return False
        self._cut(min(idle, key=lambda slot: slot.used_at), 0)
        return True

    def _cut(self, slot: _Slot, length: int, images: Sequence[ImageSpan] = ()) -> int:
        if not self._backend.cut(slot.number, position_at(length, images)):
            length = 0
            self._backend.cut(slot.number, 0)
        for cell in slot.cells[length:]:
            if self._holders[cell] == 1:
                del self._holders[cell]
            else:
                self._holders[cell] -= 1
        del slot.tokens[length:], slot.cells[length:]
        return length
