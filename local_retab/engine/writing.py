"""What a sequence writes next, from a row of logits: one chosen token, and those that the grammar forces after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from local_retab.engine.blanks import COLON
from local_retab.engine.sampler import Choice, choose
from local_retab.engine.sequence import TokenEvent
from local_retab.engine.veto import MOST_REFUSED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from local_retab.engine.backend import Backend
    from local_retab.engine.blanks import Blanks
    from local_retab.engine.repetition import Repetition
    from local_retab.engine.sequence import Sequence


def write_next(
    sequence: Sequence,
    logits: NDArray[np.float32],
    backend: Backend,
    blanks: Blanks | None = None,
    repetition: Repetition | None = None,
) -> bool:
    """Choose the next token by ``logits``, shape (vocabulary,), and take along the forced ones. True at the end.

    With ``blanks`` the last token may be written anew, which ``sequence.rewritten`` says. With ``repetition`` arrays
    and numbers that go on without an end are ended. Raises EngineError.
    """
    sequence.rewritten = False
    awaited = blanks if blanks is not None and blanks.awaits_value(sequence) else None
    logits = awaited.meant(logits) if awaited else logits
    choice = _permitted(sequence, logits, backend)
    if choice.token in backend.info.end_tokens:
        return True
    if repetition and repetition.endless(sequence, choice.token):
        shorter = repetition.without_digits(logits)
        choice = choose(shorter, sequence.constraint, sequence.sampling, sequence.random)
    if repetition and (end := repetition.ending(sequence, choice.token)):
        sequence.constraint.consume(end)
        _append(sequence, end, backend, circular=True)
        return _append_forced(sequence, backend)
    if awaited and choice.token in awaited.joined:
        sequence.constraint.consume([choice.token])
        del sequence.tokens[-1]
        sequence.rewritten = True
        _append(sequence, [awaited.joined[choice.token]], backend, choice.logprob, shown=len(COLON))
        return _append_forced(sequence, backend)
    whole = _whole(choice.token, sequence, backend)
    if whole is None:
        sequence.constraint.consume([choice.token])
        _append(sequence, [choice.token], backend, choice.logprob)
    else:
        sequence.constraint.consume([whole])
        _append(sequence, [whole], backend)
    return _append_forced(sequence, backend)


def _permitted(sequence: Sequence, logits: NDArray[np.float32], backend: Backend) -> Choice:
    """The choice of the model, of what the sequence's vetoes let be."""
    first = choice = choose(logits, sequence.constraint, sequence.sampling, sequence.random)
    if not _is_refused(sequence, backend.token_bytes(first.token)):
        return first
    logits = logits.copy()
    for _ in range(MOST_REFUSED):
        logits[choice.token] = -np.inf
        choice = choose(logits, sequence.constraint, sequence.sampling, sequence.random)
        if not _is_refused(sequence, backend.token_bytes(choice.token)):
            return choice
    return first


def _is_refused(sequence: Sequence, token: bytes) -> bool:
    return any(veto.refuses(sequence.output, token) for veto in sequence.vetoes)


def _whole(token: int, sequence: Sequence, backend: Backend) -> int | None:
    """The token in which the tokenizer writes the bytes that are forced here, where ``token`` ends amid them.

    A model that would write `": "` chooses `":`, and then finds a quotation mark forced that it would not write there:
    what it says of the token after it is noise, and `"N` as good as `"`.
    """
    text, forced = backend.token_bytes(token), sequence.constraint.forced_bytes()
    if not text or len(text) >= len(forced) or not forced.startswith(text):
        return None
    first = backend.tokenize(forced.decode("utf-8", "ignore"), special=False)[:1]
    wider = b"".join(map(backend.token_bytes, first))
    if len(wider) <= len(text) or not forced.startswith(wider) or not sequence.constraint.allows_all(first):
        return None
    return first[0]


def _append_forced(sequence: Sequence, backend: Backend) -> bool:
    """Append the forced tokens; True when the value is complete."""
    forced = [] if sequence.constraint.finished else sequence.constraint.forced()
    forced = [token for token in forced if token not in backend.info.end_tokens]
    if forced:
        sequence.constraint.consume(forced)
        sequence.statistics.forced_tokens += len(forced)
        _append(sequence, forced, backend)
    return sequence.constraint.finished


def _append(
    sequence: Sequence,
    tokens: list[int],
    backend: Backend,
    logprob: float | None = None,
    *,
    shown: int = 0,
    circular: bool = False,
) -> None:
    """Append tokens, of whose bytes the first ``shown`` are in the output already."""
    data = b"".join(map(backend.token_bytes, tokens))[shown:]
    sequence.tokens.extend(tokens)
    sequence.output += data
    sequence.statistics.output_tokens += len(tokens) if not shown else 0
    sequence.events.put(TokenEvent(data, logprob=logprob, circular=circular))
