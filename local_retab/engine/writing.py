"""What a sequence writes next, from a row of logits: one chosen token, and those that the grammar forces after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_retab.engine.sampler import choose
from local_retab.engine.sequence import TokenEvent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from local_retab.engine.backend import Backend
    from local_retab.engine.sequence import Sequence


def write_next(sequence: Sequence, logits: NDArray[np.float32], backend: Backend) -> bool:
    """Choose the next token by ``logits``, shape (vocabulary,), and take along the forced ones. True at the end.

    Raises EngineError.
    """
    choice = choose(logits, sequence.constraint, sequence.sampling, sequence.random)
    if choice.token in backend.info.end_tokens:
        return True
    whole = _whole(choice.token, sequence, backend)
    if whole is None:
        sequence.constraint.consume([choice.token])
        _append(sequence, [choice.token], backend, choice.logprob)
    else:
        sequence.constraint.consume([whole])
        _append(sequence, [whole], backend)
    return _append_forced(sequence, backend)


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


def _append(sequence: Sequence, tokens: list[int], backend: Backend, logprob: float | None = None) -> None:
    data = b"".join(map(backend.token_bytes, tokens))
    sequence.tokens.extend(tokens)
    sequence.output += data
    sequence.statistics.output_tokens += len(tokens)
    sequence.events.put(TokenEvent(data, logprob=logprob))
