"""The prefix pool: examples of what it reuses and drops, and any sequence of calls against a naive model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from scripted_backend import ScriptedBackend

from local_retab.engine import prefix
from local_retab.engine.prefix import PrefixPool, common_prefix

SLOTS = 3


class Pool:
    """A pool over a backend whose cells are objects, so that shared ones can be told from copies."""

    def __init__(
        self, *, slots: int = SLOTS, prefix_sharing: bool = True, can_cut: bool = True, device: str = "gpu"
    ) -> None:
        self.backend = ScriptedBackend(lambda prompt: "", sequences=slots, prefix_sharing=prefix_sharing, device=device)
        self.cells: dict[int, list[object]] = {number: [] for number in range(slots)}
        self.can_cut = can_cut
        self.backend.cut = self._cut  # type: ignore[method-assign]
        self.backend.share = self._share  # type: ignore[method-assign]
        self.pool = PrefixPool(self.backend)

    def _cut(self, sequence: int, start: int) -> bool:
        if start and not self.can_cut:
            return False
        del self.backend.kv[sequence][start:], self.cells[sequence][start:]
        return True

    def _share(self, source: int, target: int, end: int) -> None:
        assert not self.backend.kv[target]
        self.backend.kv[target] = self.backend.kv[source][:end]
        self.cells[target] = self.cells[source][:end]

    def start(self, tokens: Sequence[int], stable: int = 0) -> tuple[int, int]:
        """Acquire a slot and compute in it what is not there."""
        place = self.pool.acquire(tokens, stable=stable)
        assert place is not None
        slot, reused = place
        assert self.backend.kv[slot] == list(tokens[:reused])
        self.grow(slot, tokens[reused:])
        return place

    def grow(self, slot: int, tokens: Sequence[int]) -> None:
        self.backend.kv[slot] += tokens
        self.cells[slot] += [object() for _ in tokens]
        self.pool.extend(slot, tokens)

    @property
    def distinct_cells(self) -> int:
        return len({id(cell) for cells in self.cells.values() for cell in cells})


def test_the_first_sequence_finds_nothing() -> None:
    pool = Pool()
    assert pool.start([1, 2, 3]) == (0, 0)
    assert pool.pool.used_cells == 3


def test_an_ended_sequence_is_taken_over_by_the_one_that_continues_it() -> None:
    pool = Pool()
    slot, _ = pool.start([1, 2, 3])
    pool.pool.release(slot, keep=True)
    assert pool.start([1, 2, 3, 4, 5]) == (slot, 3)
    assert pool.pool.used_cells == 5


def test_the_last_token_is_always_left_to_compute() -> None:
    pool = Pool()
    slot, _ = pool.start([1, 2, 3])
    pool.pool.release(slot, keep=True)
    _, reused = pool.start([1, 2, 3])
    assert reused == 2


def test_a_fork_is_shared_and_its_cells_are_counted_once() -> None:
    pool = Pool()
    first, _ = pool.start([1, 2, 3, 4])
    second, reused = pool.start([1, 2, 9])
    assert second != first
    assert reused == 2
    assert pool.pool.used_cells == pool.distinct_cells == 5
    pool.pool.release(first, keep=False)
    assert pool.pool.used_cells == 3
    pool.pool.release(second, keep=False)
    assert pool.pool.used_cells == 0


def test_an_idle_fork_keeps_the_longer_prefix_while_there_are_other_slots() -> None:
    pool = Pool()
    first, _ = pool.start([1, 2, 3, 4])
    pool.pool.release(first, keep=True)
    second, _ = pool.start([1, 2, 9])
    assert second != first
    pool.pool.release(second, keep=True)
    assert pool.start([1, 2, 3, 4, 5]) == (first, 4)


def test_the_last_idle_slot_is_cut_back_to_the_common_prefix() -> None:
    pool = Pool(slots=1)
    slot, _ = pool.start([1, 2, 3, 4])
    pool.pool.release(slot, keep=True)
    assert pool.start([1, 2, 9]) == (slot, 2)
    assert pool.pool.used_cells == 3


def test_the_least_recently_used_slot_makes_room_unless_it_is_the_source() -> None:
    pool = Pool()
    for tokens in ([1, 1, 1], [2, 2, 2], [3, 3, 3]):
        slot, _ = pool.start(tokens)
        pool.pool.release(slot, keep=True)
    # The oldest holds the prefix, so the next oldest goes.
    slot, reused = pool.start([1, 1, 8])
    assert reused == 2
    assert pool.backend.kv[0] == [1, 1, 1]
    assert slot == 1


def test_on_a_processor_an_idle_slot_keeps_what_others_may_share() -> None:
    pool = Pool(device="cpu")
    first, _ = pool.start([1, 2, 3, 4], stable=2)
    second, _ = pool.start([5, 6, 7], stable=1)
    pool.pool.release(first, keep=True)
    pool.pool.release(second, keep=True)
    assert pool.backend.kv[first] == [1, 2, 3, 4]
    third, reused = pool.start([1, 2, 3, 9], stable=2)
    assert reused == 3
    assert pool.backend.kv == {first: [1, 2], second: [5], third: [1, 2, 3, 9]}
    assert pool.pool.used_cells == pool.distinct_cells == 5


def test_on_a_processor_a_repeat_finds_all_of_it() -> None:
    pool = Pool(device="cpu")
    slot, _ = pool.start([1, 2, 3, 4], stable=1)
    pool.pool.release(slot, keep=True)
    assert pool.start([1, 2, 3, 4, 5], stable=1) == (slot, 4)


def test_on_a_processor_many_idle_prefixes_go_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix, "MAX_IDLE_CELLS", 4)
    pool = Pool(slots=4, device="cpu")
    slots = [pool.start([number] * 3, stable=2)[0] for number in (1, 2, 3)]
    for slot in slots:
        pool.pool.release(slot, keep=True)
    running, _ = pool.start([4, 4], stable=2)
    assert pool.backend.kv == {slots[0]: [], slots[1]: [2, 2], slots[2]: [3, 3], running: [4, 4]}


def test_no_slot_while_all_are_running() -> None:
    pool = Pool(slots=2)
    pool.start([1])
    slot, _ = pool.start([2])
    assert pool.pool.acquire([3]) is None
    pool.pool.release(slot, keep=True)
    assert pool.pool.acquire([3]) == (slot, 0)


def test_eviction_drops_idle_prefixes_oldest_first_and_never_running_ones() -> None:
    pool = Pool()
    running, _ = pool.start([1, 1])
    old, _ = pool.start([2, 2, 2])
    new, _ = pool.start([3, 3, 3, 3])
    pool.pool.release(old, keep=True)
    pool.pool.release(new, keep=True)
    left = []
    while pool.pool.evict():
        left.append(pool.pool.used_cells)
    assert left == [6, 2]
    assert pool.backend.kv == {running: [1, 1], old: [], new: []}


def test_a_slot_that_is_not_to_be_trusted_is_never_reused() -> None:
    pool = Pool()
    slot, _ = pool.start([1, 2, 3])
    pool.pool.release(slot, keep=False)
    assert pool.start([1, 2, 3, 4])[1] == 0


def test_a_memory_that_cannot_be_shared_reuses_nothing() -> None:
    pool = Pool(prefix_sharing=False)
    slot, _ = pool.start([1, 2, 3])
    pool.pool.release(slot, keep=True)
    assert pool.start([1, 2, 3, 4])[1] == 0


def test_where_a_cut_fails_the_sequence_begins_anew() -> None:
    pool = Pool(slots=1, can_cut=False)
    slot, _ = pool.start([1, 2, 3, 4])
    pool.pool.release(slot, keep=True)
    assert pool.start([1, 2, 9]) == (slot, 0)
    assert pool.backend.kv[slot] == [1, 2, 9]
    assert pool.pool.used_cells == 3


def test_the_common_prefix_of_two_sequences() -> None:
    assert common_prefix([], [1]) == 0
    assert common_prefix([1, 2], [1, 2]) == 2
    assert common_prefix([1, 2], [1, 2, 3]) == 2
    assert common_prefix([1, 2, 3], [1, 9, 3]) == 1


TOKENS = st.lists(st.integers(0, 1), min_size=1, max_size=6)


class PoolMachine(RuleBasedStateMachine):
    """Any order of calls: what is in the KV cache, how much of it is reused, and how many cells are in use."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = Pool()
        self.running: list[int] = []

    @initialize(slots=st.integers(1, 4))
    def make(self, slots: int) -> None:
        self.pool = Pool(slots=slots)

    @property
    def full(self) -> bool:
        return len(self.running) == len(self.pool.cells)

    @precondition(lambda self: not self.full)
    @rule(tokens=TOKENS)
    def start(self, tokens: list[int]) -> None:
        prefixes = (
            sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(held, tokens[:-1], strict=False)))
            for held in self.pool.backend.kv.values()
        )
        longest = max(prefixes)
        slot, reused = self.pool.start(tokens)
        assert slot not in self.running
        assert reused == longest
        self.running.append(slot)

    @precondition(lambda self: self.full)
    @rule(tokens=TOKENS)
    def find_none(self, tokens: list[int]) -> None:
        assert self.pool.pool.acquire(tokens) is None

    @precondition(lambda self: self.running)
    @rule(data=st.data(), tokens=TOKENS)
    def grow(self, data: st.DataObject, tokens: list[int]) -> None:
        self.pool.grow(data.draw(st.sampled_from(self.running)), tokens)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), keep=st.booleans())
    def end(self, data: st.DataObject, keep: bool) -> None:
        slot = data.draw(st.sampled_from(self.running))
        self.running.remove(slot)
        self.pool.pool.release(slot, keep=keep)

    @rule()
    def evict(self) -> None:
        before = {slot: list(self.pool.backend.kv[slot]) for slot in self.running}
        idle = [kv for slot, kv in self.pool.backend.kv.items() if slot not in self.running and kv]
        assert self.pool.pool.evict() is bool(idle)
        assert {slot: self.pool.backend.kv[slot] for slot in self.running} == before

    @invariant()
    def cells_are_counted_once(self) -> None:
        assert self.pool.pool.used_cells == self.pool.distinct_cells


TestPoolMachine = PoolMachine.TestCase
TestPoolMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None, derandomize=True)
