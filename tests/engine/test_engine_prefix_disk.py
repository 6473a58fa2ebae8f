"""The stable part of prompts on disk: what is written, found again, refused and deleted."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from scripted_backend import ANSWER, ScriptedBackend
from test_scheduler import LIMITS, SCHEMA, VALUE, drain, grammar, run

from local_retab.engine.constraint import Constraint
from local_retab.engine.prefix_disk import MIN_TOKENS, PrefixDisk
from local_retab.engine.scheduler import Scheduler
from local_retab.engine.sequence import Finish, Sequence

MIB = 2**20
TEMPLATE = "t" * (MIN_TOKENS + 20)
TOKENS = list(range(5))


def disk_of(folder: Path, limit: int = MIB, identity: str = "model", max_age: float | None = None) -> PrefixDisk:
    return PrefixDisk(folder, limit, identity, max_age=max_age)


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*"))


class TestStore:
    def test_a_state_is_found_by_its_tokens_and_model(self, tmp_path: Path) -> None:
        disk_of(tmp_path).save(TOKENS, b"state")
        assert disk_of(tmp_path).load(TOKENS) == b"state"
        assert disk_of(tmp_path).load(TOKENS[:-1]) is None
        assert disk_of(tmp_path, identity="other model").load(TOKENS) is None

    @pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:-1] + b"x", lambda data: b""])
    def test_a_damaged_entry_is_none_and_is_deleted(self, tmp_path: Path, damage: object) -> None:
        disk_of(tmp_path).save(TOKENS, b"state")
        (entry,) = entries(tmp_path)
        entry.write_bytes(damage(entry.read_bytes()))  # type: ignore[operator]
        assert disk_of(tmp_path).load(TOKENS) is None
        assert entries(tmp_path) == []

    def test_the_least_recently_used_makes_room(self, tmp_path: Path) -> None:
        disk = disk_of(tmp_path, limit=300)
        for index, tokens in enumerate(([1], [2])):
            disk.save(tokens, bytes(100))
            os.utime(entries(tmp_path)[0] if index == 0 else disk._path(tokens), (index + 1, index + 1))
        assert disk.load([1]) is not None  # used now, so the other is older
        disk.save([3], bytes(100))
        assert [disk.load(tokens) is not None for tokens in ([1], [2], [3])] == [True, False, True]

    def test_what_is_larger_than_the_limit_is_not_kept(self, tmp_path: Path) -> None:
        disk_of(tmp_path, limit=50).save(TOKENS, bytes(100))
        assert entries(tmp_path) == []

    def test_old_entries_are_deleted(self, tmp_path: Path) -> None:
        disk = disk_of(tmp_path, max_age=60)
        disk.save([1], b"old")
        os.utime(disk._path([1]), (1, 1))
        disk.save([2], b"new")
        assert [disk.load([1]), disk.load([2])] == [None, b"new"]

    def test_the_folder_is_the_user_s_alone(self, tmp_path: Path) -> None:
        disk_of(tmp_path / "made").save(TOKENS, b"state")
        assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700

    def test_a_folder_that_cannot_be_written_keeps_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        disk = disk_of(tmp_path / "file")
        disk.save(TOKENS, b"state")
        assert disk.load(TOKENS) is None


def sequence_of(backend: ScriptedBackend, document: str) -> Sequence:
    tokens = backend.tokenize(TEMPLATE + document + ANSWER, special=False)
    constraint = Constraint.compile(grammar(SCHEMA), backend.grammar_tokenizer())
    return Sequence(tokens, constraint, LIMITS, stable=len(TEMPLATE))


def answer(folder: Path, document: str, *, template: str = TEMPLATE, stable: int | None = None) -> Sequence:
    """One answer in a fresh "process": a new backend and scheduler."""
    backend = ScriptedBackend(lambda prompt: VALUE)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=50, disk=disk_of(folder))
    tokens = backend.tokenize(template + document + ANSWER, special=False)
    constraint = Constraint.compile(grammar(SCHEMA), backend.grammar_tokenizer())
    item = Sequence(tokens, constraint, LIMITS, stable=len(template) if stable is None else stable)
    scheduler.add(item)
    run(scheduler)
    assert drain(item) == (VALUE.encode(), Finish.COMPLETE)
    return item


class TestPrompts:
    def test_a_second_process_computes_the_document_alone(self, tmp_path: Path) -> None:
        assert answer(tmp_path, "first").statistics.reused_tokens == 0
        assert answer(tmp_path, "second").statistics.reused_tokens == len(TEMPLATE)

    def test_nothing_of_the_document_is_written(self, tmp_path: Path) -> None:
        answer(tmp_path, "SECRET")
        (entry,) = entries(tmp_path)
        kept = entry.read_bytes()[32:]
        assert kept.startswith(b"[[116, ")
        assert str(ord("S")).encode() not in kept.split(b"]")[0].split(b", ")

    def test_another_template_is_another_entry(self, tmp_path: Path) -> None:
        answer(tmp_path, "first")
        assert answer(tmp_path, "first", template=TEMPLATE + "2").statistics.reused_tokens == 0
        assert len(entries(tmp_path)) == 2

    def test_a_short_one_is_not_worth_it(self, tmp_path: Path) -> None:
        answer(tmp_path, "first", stable=MIN_TOKENS - 1)
        assert entries(tmp_path) == []

    def test_a_state_that_the_model_refuses_is_computed_anew(self, tmp_path: Path) -> None:
        answer(tmp_path, "first")
        disk_of(tmp_path).save(list(TEMPLATE.encode()), b"not a state")
        assert answer(tmp_path, "second").statistics.reused_tokens == 0

    def test_a_sequence_that_was_sent_back_to_wait_shares_what_another_computed_meanwhile(self, tmp_path: Path) -> None:
        backend = ScriptedBackend(lambda prompt: VALUE)
        scheduler = Scheduler(backend, max_sequences=2, prefill_chunk=50, disk=disk_of(tmp_path))
        first, second = (sequence_of(backend, "same document") for _ in range(2))
        scheduler.add(first)
        scheduler.step()
        scheduler._preempt(first, keep=False)
        assert first.keep_at is not None
        scheduler._waiting.clear()
        scheduler.add(second)
        while second.computed <= len(TEMPLATE):
            scheduler.step()
        scheduler.add(first)
        run(scheduler)
        assert [drain(first), drain(second)] == [(VALUE.encode(), Finish.COMPLETE)] * 2

    def test_what_is_in_memory_is_not_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        backend = ScriptedBackend(lambda prompt: VALUE)
        scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=50, disk=disk_of(tmp_path))
        for document in ("one", "two"):
            item = sequence_of(backend, document)
            scheduler.add(item)
            run(scheduler)
            assert drain(item) == (VALUE.encode(), Finish.COMPLETE)
            monkeypatch.setattr(PrefixDisk, "load", lambda self, tokens: pytest.fail("read"))
        assert item.statistics.reused_tokens == len(TEMPLATE)


class TestHeads:
    """What all prompts begin with, computed before the first one."""

    @staticmethod
    def answered(folder: Path, head: str) -> tuple[Sequence, ScriptedBackend]:
        backend = ScriptedBackend(lambda prompt: VALUE)
        scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=50, disk=disk_of(folder))
        scheduler.prepare(backend.tokenize(head, special=False))
        item = sequence_of(backend, "document")
        scheduler.add(item)
        run(scheduler)
        assert drain(item) == (VALUE.encode(), Finish.COMPLETE)
        return item, backend

    def test_the_first_prompt_begins_after_it(self, tmp_path: Path) -> None:
        item, _ = self.answered(tmp_path, TEMPLATE[:30])
        assert item.statistics.reused_tokens == 30
        assert entries(tmp_path) == []  # neither it nor what is left of the template is worth it

    def test_a_second_process_takes_it_from_disk(self, tmp_path: Path) -> None:
        head = TEMPLATE[: MIN_TOKENS + 3]
        self.answered(tmp_path, head)
        assert len(entries(tmp_path)) == 1  # the head, as the template has hardly more
        backend = ScriptedBackend(lambda prompt: VALUE)
        scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=50, disk=disk_of(tmp_path))
        scheduler.prepare(backend.tokenize(head, special=False))
        assert backend.batches == []
        item = sequence_of(backend, "document")
        scheduler.add(item)
        run(scheduler)
        assert item.statistics.reused_tokens == len(head)

    def test_one_that_other_prompts_do_not_have_does_no_harm(self, tmp_path: Path) -> None:
        item, _ = self.answered(tmp_path, "another beginning")
        assert item.statistics.reused_tokens == 0
