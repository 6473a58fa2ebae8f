"""What prompts begin with that others share: computed ahead of them, kept on disk and taken from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_retab.engine.backend import BatchToken
from local_retab.engine.prefix_disk import MIN_TOKENS

if TYPE_CHECKING:
    from local_retab.engine.backend import Backend
    from local_retab.engine.prefix import PrefixPool
    from local_retab.engine.prefix_disk import PrefixDisk
    from local_retab.engine.sequence import Sequence


class StablePrefixes:
    """Between the slots of a pool and the disk; without a disk, only what is computed ahead."""

    def __init__(self, backend: Backend, pool: PrefixPool, disk: PrefixDisk | None, *, chunk: int) -> None:
        self._backend, self._pool, self._disk, self._chunk = backend, pool, disk, chunk

    def prepare(self, tokens: list[int]) -> None:
        """Compute what all prompts begin with, or take it from disk, before the first of them is here."""
        place = self._pool.acquire([*tokens, tokens[-1]], stable=len(tokens))
        if place is None:
            return
        slot, _ = place
        disk = self._disk if len(tokens) >= MIN_TOKENS else None
        state = disk.load(tokens) if disk else None
        if state is None or not self._pool.restore(slot, tokens, state):
            for begin in range(0, len(tokens), self._chunk):
                chunk = tokens[begin : begin + self._chunk]
                self._backend.decode([BatchToken(token, begin + at, slot, False) for at, token in enumerate(chunk)])
                self._pool.extend(slot, chunk)
            if disk:
                disk.save(tokens, self._backend.snapshot(slot))
        self._pool.release(slot, keep=True)

    def restore(self, sequence: Sequence) -> None:
        """Take the prompt's stable part from disk where that saves computing it, or note that it is to go there."""
        sequence.keep_at = None
        if self._disk is None or sequence.stable < sequence.computed + MIN_TOKENS:
            return
        assert sequence.slot is not None
        tokens = sequence.tokens[: sequence.stable]
        state = self._disk.load(tokens)
        if state is not None and self._pool.used_cells + len(tokens) <= self._backend.info.context_tokens:
            sequence.computed = len(tokens) if self._pool.restore(sequence.slot, tokens, state) else 0
        sequence.keep_at = sequence.stable if sequence.computed < sequence.stable else None

    def keep(self, sequence: Sequence) -> None:
        """Write the prompt's stable part to disk when just that is computed."""
        if self._disk is not None and sequence.computed == sequence.keep_at and sequence.slot is not None:
            sequence.keep_at = None
            self._disk.save(sequence.tokens[: sequence.computed], self._backend.snapshot(sequence.slot))
