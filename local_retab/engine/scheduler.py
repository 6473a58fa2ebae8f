"""Continuous batching: every step is one decode call for all sequences that run.

Running answers go first, so that a long prefill never stalls them by more than one chunk; prompts share what is
left of the chunk in order of arrival; background sequences stand back (see ``priority``). Image embeddings and tokens
cannot share a call: after the tokens of a step one image advances, by its encoding or by one piece of its embeddings.
When the KV cache is full, idle prefixes go, then the youngest sequence waits again and is computed anew later
(preemption by recomputation, as in vLLM); so does the youngest background one when an interactive one has no place.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from local_retab.engine.backend import Backend, BatchToken, Embeddings
from local_retab.engine.blanks import Blanks
from local_retab.engine.closing import Closer
from local_retab.engine.draft import MAX_CALL_DRAFT_TOKENS, Draft, Drafts
from local_retab.engine.endings import cancelled_error, overdue_error, unclosable_error
from local_retab.engine.following import family, part
from local_retab.engine.prefix import PrefixPool, common_prefix
from local_retab.engine.priority import foremost, grow_impatient, precedence, taking_part
from local_retab.engine.repetition import Repetition
from local_retab.engine.sequence import Finish, Phase, Sequence, TokenEvent
from local_retab.engine.stable import StablePrefixes
from local_retab.engine.writing import write_next
from local_retab.errors import EngineError, LocalRetabError

if TYPE_CHECKING:
    from local_retab.engine.images import ImageSpan
    from local_retab.engine.prefix_disk import PrefixDisk


@dataclass(frozen=True, slots=True)
class _Share:
    """A sequence's part of a batch: ``count`` known tokens, then those of its draft.

    ``row`` is the batch row of the logits after the known tokens, if they are read; the draft's follow.
    """

    sequence: Sequence
    count: int
    row: int | None
    draft: Draft | None = None

    @property
    def drafted(self) -> list[int]:
        return self.draft.tokens if self.draft else []


class Scheduler:
    """Owns the sequences and their order. One thread calls it; a step never blocks on a reader."""

    def __init__(
        self, backend: Backend, *, max_sequences: int, prefill_chunk: int, disk: PrefixDisk | None = None
    ) -> None:
        self._backend = backend
        self._pool = PrefixPool(backend)
        self._drafts = Drafts(backend)
        self._write = partial(write_next, backend=backend, blanks=Blanks.of(backend), repetition=Repetition(backend))
        self._max_sequences = max_sequences
        self._chunk = min(prefill_chunk, backend.info.batch_tokens)
        self._stable = StablePrefixes(backend, self._pool, disk, chunk=self._chunk)
        self._waiting: list[Sequence] = []
        self._running: list[Sequence] = []
        self._closer: Closer | None = None
        self._began = False
        self.decode_calls = self.encoded_images = 0

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence."""
        self._waiting.append(sequence)

    def prepare(self, tokens: list[int]) -> None:
        """Compute what all prompts begin with before the first of them is here."""
        self._stable.prepare(tokens)

    @property
    def idle(self) -> bool:
        return not self._waiting and not self._running

    def step(self) -> bool:
        """Stop what was cancelled, admit what fits, decode one batch, choose the next tokens, advance one image.

        True when an answer that someone waits for has begun.
        """
        started, self._began = time.monotonic(), False
        self._drop_stopped()
        self._admit()
        self._advance_text()
        self._advance_image()
        grow_impatient((*self._running, *self._waiting), time.monotonic() - started)
        return self._began

    def _advance_text(self) -> None:
        shares = self._compose()
        while shares and not self._make_room(sum(share.count + len(share.drafted) for share in shares)):
            shares = self._compose()
        if not shares:
            return
        started = time.perf_counter()
        try:
            self._decode(shares)
        except EngineError as error:
            for share in shares:
                self._end(share.sequence, error, keep=False)
            return
        elapsed = time.perf_counter() - started
        self._learn(shares, elapsed)
        for share in shares:
            self._account(share, elapsed)
            self._stable.keep(share.sequence)
            if share.row is not None:
                self._advance(share, share.row)

    def _learn(self, shares: list[_Share], elapsed: float) -> None:
        """Note what a call of answers alone took: it says which drafts pay."""
        if all(share.sequence.phase is Phase.DECODE for share in shares):
            tokens = sum(share.count + len(share.drafted) for share in shares)
            self._drafts.policy.costs.observe(tokens, elapsed)

    def fail_all(self, error: LocalRetabError) -> None:
        """End every sequence with ``error``."""
        for sequence in (*self._running, *self._waiting):
            self._end(sequence, error, keep=False)
        self._waiting.clear()

    def _drop_stopped(self) -> None:
        for sequence in (*self._running, *self._waiting):
            if sequence.cancelled:
                self._end(sequence, cancelled_error(), keep=True)
            elif sequence.overdue():
                self._end(sequence, overdue_error(sequence.limits), keep=True)
            for follower in [each for each in sequence.followers if each.cancelled]:
                sequence.followers.remove(follower)
                self._end(follower, cancelled_error(), keep=True)
        self._waiting = [sequence for sequence in self._waiting if sequence.phase is Phase.WAITING]

    def _admit(self) -> None:
        while self._waiting:
            sequence = min(self._waiting, key=precedence)
            if len(self._running) == self._max_sequences and not self._give_place(sequence):
                return
            place = self._pool.acquire(sequence.tokens, sequence.images, stable=sequence.stable)
            if place is None:
                return
            self._waiting.remove(sequence)
            sequence.slot, sequence.computed = place
            self._stable.restore(sequence)
            if sequence.statistics.output_tokens == 0:
                for one in family(sequence):
                    # What follows computes nothing of the prompt; all but the token whose logits it needs, as others.
                    reused = sequence.computed if one is sequence else sequence.prompt_length - 1
                    one.statistics.reused_tokens = reused
                    one.statistics.queue_seconds = time.monotonic() - one.submitted
            sequence.phase = Phase.PREFILL
            self._running.append(sequence)

    def _give_place(self, sequence: Sequence) -> bool:
        """Whether a background sequence made place for ``sequence``."""
        last = max(self._running, key=precedence)
        if sequence.background or not last.background:
            return False
        self._preempt(last, keep=True)
        return True

    def _compose(self) -> list[_Share]:
        """Whose tokens go into the next batch: answers first, then prompts, in order of arrival."""
        shares: list[_Share] = []
        row = 0
        chosen = taking_part(self._running, self._drafts.policy.costs, self._chunk)
        answers = [sequence.pending for sequence in chosen if sequence.phase is Phase.DECODE]
        tokens = sum(answers)  # of the answers and their drafts in this call
        pending = sum(sequence.pending for sequence in self._running)
        draft_room = min(MAX_CALL_DRAFT_TOKENS, self._backend.info.context_tokens - self._pool.used_cells - pending)
        for phase, limit in ((Phase.DECODE, self._backend.info.batch_tokens), (Phase.PREFILL, self._chunk)):
            for sequence in chosen:
                if sequence.phase is phase and row < limit and sequence.pending_text:
                    count = min(sequence.pending_text, limit - row)
                    if sequence.keep_at is not None:  # computed < keep_at, which a chunk ends with
                        count = min(count, sequence.keep_at - sequence.computed)
                    row += count
                    last = count == sequence.pending
                    draft = None
                    if last and phase is Phase.DECODE:
                        room = min(draft_room, limit - row)
                        draft = self._drafts.make(sequence, tokens=tokens, sequences=len(answers), room=room)
                    shares.append(_Share(sequence, count, row - 1 if last else None, draft))
                    row += len(shares[-1].drafted)
                    tokens += len(shares[-1].drafted)
                    draft_room -= len(shares[-1].drafted)
        return shares

    def _make_room(self, cells: int) -> bool:
        """Whether ``cells`` fit after evicting idle prefixes; else the youngest sequence is sent back to wait."""
        capacity = self._backend.info.context_tokens
        while self._pool.used_cells + cells > capacity:
            if self._pool.evict():
                continue
            last = max(self._running, key=precedence)
            if len(self._running) == 1:
                self._close(last)
            else:
                self._preempt(last, keep=False)
            return False
        return True

    def _preempt(self, sequence: Sequence, *, keep: bool) -> None:
        """Send a sequence back to wait; with ``keep`` its KV stays for it as long as nothing else needs the room."""
        self._running.remove(sequence)
        if sequence.slot is not None:
            self._pool.release(sequence.slot, keep=keep)
        sequence.slot, sequence.computed, sequence.phase, sequence.embeddings = None, 0, Phase.WAITING, None
        self._waiting.append(sequence)

    def _decode(self, shares: list[_Share]) -> None:
        batch: list[BatchToken] = []
        for share in shares:
            sequence, slot = share.sequence, share.sequence.slot
            assert slot is not None
            start, position = sequence.computed, sequence.position(sequence.computed)
            known = sequence.tokens[start : start + share.count]
            batch += [
                BatchToken(token, position + offset, slot, logits=share.row is not None and offset >= share.count - 1)
                for offset, token in enumerate([*known, *share.drafted])
            ]
        self._backend.decode(batch)
        self.decode_calls += 1

    def _advance_image(self) -> None:
        """Encode the image that is next in the longest running sequence that has one, or decode a piece of it."""
        sequence = next((sequence for sequence in foremost(self._running) if sequence.image is not None), None)
        if sequence is None or (span := sequence.image) is None:
            return
        try:
            if sequence.embeddings is None:
                self._encode(sequence, span)
            else:
                self._decode_piece(sequence, span, sequence.embeddings)
        except LocalRetabError as error:
            self._end(sequence, error, keep=False)

    def _encode(self, sequence: Sequence, span: ImageSpan) -> None:
        """A sequence that is stopped meanwhile stays without embeddings, and the next step ends it."""
        started = time.perf_counter()
        sequence.embeddings = self._backend.encode(span.chunk, lambda: sequence.cancelled or sequence.overdue())
        sequence.statistics.encode_seconds += time.perf_counter() - started
        if sequence.embeddings is not None and sequence.embeddings.fresh:
            sequence.statistics.encoded_images += 1
            self.encoded_images += 1

    def _decode_piece(self, sequence: Sequence, span: ImageSpan, embeddings: Embeddings) -> None:
        left = span.end - sequence.computed
        count = left if span.chunk.whole else min(left, self._chunk)
        if not self._make_room(count):
            return
        assert sequence.slot is not None
        share = _Share(sequence, count, count - 1 if count == sequence.pending else None)
        first = sequence.computed - span.start
        started = time.perf_counter()
        self._backend.decode_image(
            span.chunk,
            embeddings,
            range(first, first + count),
            position=sequence.position(span.start),
            sequence=sequence.slot,
            logits=share.row is not None,
        )
        self.decode_calls += 1
        self._account(share, time.perf_counter() - started)
        if sequence.computed == span.end:
            sequence.embeddings = None
        if share.row is not None:
            self._advance(share, share.row)

    def _account(self, share: _Share, elapsed: float) -> None:
        sequence, statistics = share.sequence, share.sequence.statistics
        assert sequence.slot is not None
        done = sequence.computed + share.count
        self._pool.extend(sequence.slot, sequence.tokens[sequence.computed : done])
        sequence.computed = done
        if sequence.phase is Phase.PREFILL:
            statistics.prefill_seconds += elapsed
        else:
            statistics.decode_seconds += elapsed
            statistics.decode_calls += 1

    def _advance(self, share: _Share, row: int) -> None:
        """Choose the next tokens: one, and one more for each that the draft had right."""
        sequence, drafted = share.sequence, share.drafted
        started = time.perf_counter()
        sequence.phase = Phase.DECODE
        self._began |= not (sequence.output or sequence.background)
        accepted, ended = 0, False
        try:
            while not ended:
                start = len(sequence.tokens)
                ended = self._choose(sequence, row + accepted)
                chosen = sequence.tokens[start:]
                accepted += common_prefix(drafted[accepted:], chosen)
                if sequence.rewritten or sequence.computed + accepted < len(sequence.tokens) or self._spent(sequence):
                    break
        except LocalRetabError as error:
            self._settle(share, accepted)
            self._end(sequence, error, keep=True)
            return
        self._settle(share, accepted)
        sequence.statistics.grammar_seconds += time.perf_counter() - started
        if ended:
            self._end(sequence, Finish.COMPLETE, keep=True)
        elif self._spent(sequence):
            self._close(sequence)
        elif sequence.rewritten:
            self._take_back(sequence)

    def _take_back(self, sequence: Sequence) -> None:
        """Drop the KV of the last computed token, in whose place another one was written; of all where a part of it
        cannot be dropped."""
        assert sequence.slot is not None
        known = sequence.computed - 1
        sequence.computed = self._pool.cut(sequence.slot, known, sequence.images)
        if sequence.computed < known:
            sequence.phase = Phase.PREFILL

    def _spent(self, sequence: Sequence) -> bool:
        """Whether the budget or the context is."""
        spent = sequence.output_length >= sequence.limits.output_tokens
        return spent or len(sequence.tokens) >= self._backend.info.context_tokens

    def _settle(self, share: _Share, accepted: int) -> None:
        """Keep the KV of the accepted tokens of a draft, and no more."""
        if share.draft is None:
            return
        sequence, drafted = share.sequence, share.drafted
        assert sequence.slot is not None
        self._pool.extend(sequence.slot, drafted[:accepted])
        sequence.computed += accepted
        if accepted < len(drafted):
            self._backend.cut(sequence.slot, sequence.position(sequence.computed))
        self._drafts.policy.observe(share.draft.kind, len(drafted), accepted)
        sequence.statistics.drafted_tokens += len(drafted)
        sequence.statistics.accepted_tokens += accepted

    def _choose(self, sequence: Sequence, row: int) -> bool:
        """Choose what comes next for a sequence and those that follow it. True at the end."""
        start, logits = len(sequence.tokens), self._backend.logits(row)
        ended = {one.number: self._write(one, logits) for one in family(sequence)}
        # From the token before on, which may be another one now.
        for other in part(sequence, start - 1):
            if ended[other.number]:
                self._end(other, Finish.COMPLETE, keep=True)
            elif self._spent(other):
                self._close(other)
            else:
                self._waiting.append(other)
        return ended[sequence.number]

    def _close(self, sequence: Sequence) -> None:
        """The budget is spent: complete the value without the model."""
        if self._closer is None:
            self._closer = Closer(self._backend.grammar_tokenizer())
        try:
            ending = self._closer.close(sequence.constraint, bytes(sequence.output))
        except EngineError as error:
            self._end(sequence, error, keep=True)
            return
        if ending is None:
            self._end(sequence, unclosable_error(sequence.limits), keep=True)
            return
        for one in family(sequence):
            one.events.put(TokenEvent(ending, synthesised=True))
        self._end(sequence, Finish.BUDGET, keep=True)

    def _end(self, sequence: Sequence, outcome: Finish | LocalRetabError, *, keep: bool) -> None:
        """End a sequence, and with it those that follow it: they are where it is."""
        if sequence in self._running:
            self._running.remove(sequence)
        if sequence.slot is not None:
            self._pool.release(sequence.slot, keep=keep)
            sequence.slot = None
        sequence.embeddings = None
        for one in family(sequence):
            one.phase = Phase.ENDED
            one.events.put(outcome)
        sequence.followers = []
