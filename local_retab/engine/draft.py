"""Drafts: tokens guessed ahead and checked by the model in the same decode call; and how many of them pay.

The model's own choice, greedy or sampled, is made at every place; a guess that equals it saves a decode call, and the
first that does not is thrown away with all after it. So drafts change how fast an answer comes, and which only by
rounding, which differs with the size of a call on a GPU. Method: speculative decoding with a deterministic draft
(Leviathan et al., 2023, https://arxiv.org/abs/2211.17192), the guesses looked up in what is already written (prompt
lookup decoding; Saxena, 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from local_retab.engine.backend import Backend
    from local_retab.engine.sequence import Sequence

MAX_DRAFT_TOKENS = 12
MAX_CALL_DRAFT_TOKENS = 4 * MAX_DRAFT_TOKENS  # of all answers in a call: each takes a row of logits
OPENING = "opening"
MAX_STEP_TOKENS = 64  # longer calls are not what drafts make
PRIOR_RATIO = 0.5  # of a token more to a call of one token, before longer calls were seen
PRIOR_ACCEPTANCE = 0.8
PRIOR_TRIALS = 6.0
PRIOR_WEIGHT = 4.0  # of that, in calls
OWN = 5.0  # calls of one size before they count as much as all others for it
_MEMORY = 0.98  # of earlier calls
_FADING = 0.98  # of earlier drafts of one kind


@dataclass(frozen=True, slots=True)
class Guess:
    """How an answer may go on: ``texts`` are alternatives, of which the first that the grammar allows is tried.

    ``kind`` names how it was found: guesses of one kind are trusted as often as they were right.
    """

    kind: str
    texts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """The tokens of a guess that are tried."""

    kind: str
    tokens: list[int]


class Drafter(Protocol):
    """Guesses how one answer goes on; each sequence has its own."""

    def guess(self, output: bytearray) -> Guess | None:
        """A guess at what follows ``output``, the whole answer so far and what its grammar forces next."""
        ...


class StepCosts:
    """What decode calls of so many tokens take here, learnt from the calls themselves.

    A line through all of them (least squares, fading, its slope held near PRIOR_RATIO while little was seen), and for
    each size its own mean, which counts the more the oftener it was seen: kernels take rows in fours and sixteens, so
    one token more costs nothing at some sizes and twice as much at others.
    """

    def __init__(self) -> None:
        self._sums = [0.0] * 5  # weights; of them by tokens beyond the first, its square, seconds, and their product
        self._own: dict[int, tuple[float, float]] = {}  # by size: weight, and mean seconds

    def observe(self, tokens: int, seconds: float) -> None:
        """Note a decode call of ``tokens`` tokens of running answers. One slow call counts for at most two."""
        if tokens > MAX_STEP_TOKENS or seconds <= 0.0:
            return
        if self._sums[0]:
            seconds = min(seconds, 2 * self.estimate(tokens))
        more = tokens - 1
        new = (1.0, more, more * more, seconds, more * seconds)
        self._sums = [_MEMORY * old + value for old, value in zip(self._sums, new, strict=True)]
        weight, mean = self._own.get(tokens, (0.0, 0.0))
        weight *= _MEMORY
        self._own[tokens] = (weight + 1.0, (weight * mean + seconds) / (weight + 1.0))

    def estimate(self, tokens: int) -> float:
        """Of a call of ``tokens`` tokens; in units of a call of one token where none was seen yet."""
        weight, mean = self._own.get(tokens, (0.0, 0.0))
        return (OWN * self._line(tokens) + weight * mean) / (OWN + weight)

    def _line(self, tokens: int) -> float:
        calls, more, squares, seconds, products = self._sums
        if not calls:
            return 1.0 + PRIOR_RATIO * (tokens - 1)
        # The least of the sum of (single + slope * more - seconds)^2, and of PRIOR_WEIGHT (slope - ratio * single)^2.
        first = (calls + PRIOR_WEIGHT * PRIOR_RATIO**2, more - PRIOR_WEIGHT * PRIOR_RATIO)
        second = (first[1], squares + PRIOR_WEIGHT)
        determinant = first[0] * second[1] - first[1] * second[0]
        single = (seconds * second[1] - products * first[1]) / determinant
        slope = (first[0] * products - second[0] * seconds) / determinant
        if slope < 0.0:
            return seconds / calls
        least = seconds / calls / MAX_STEP_TOKENS
        return max(single, least) + slope * (tokens - 1)


class DraftPolicy:
    """How many tokens of a guess are tried: as many as save more than they cost."""

    def __init__(self) -> None:
        self.costs = StepCosts()
        self._kinds: dict[str, tuple[float, float]] = {}

    def length(self, kind: str, offered: int, *, tokens: int, sequences: int) -> int:
        """How many of ``offered`` drafted tokens to add to a call that has ``tokens`` without them.

        The i-th is accepted with probability p to the i, and then saves its sequence's share of a call of all.
        """
        acceptance, share = self._acceptance(kind), self.costs.estimate(sequences) / sequences
        base, best, length, saved = self.costs.estimate(tokens), 0.0, 0, 0.0
        for count in range(1, min(offered, MAX_DRAFT_TOKENS) + 1):
            saved += share * acceptance**count
            gain = saved - (self.costs.estimate(tokens + count) - base)
            if gain > best:
                best, length = gain, count
        if offered and not length:
            self._note(kind, 0, 0)
        return length

    def observe(self, kind: str, drafted: int, accepted: int) -> None:
        """Note how many of ``drafted`` tokens were what the model chose."""
        self._note(kind, accepted, accepted + (accepted < drafted))

    def _acceptance(self, kind: str) -> float:
        hits, trials = self._kinds.get(kind, (0.0, 0.0))
        return (hits + PRIOR_ACCEPTANCE * PRIOR_TRIALS) / (trials + PRIOR_TRIALS)

    def _note(self, kind: str, hits: int, trials: int) -> None:
        """Earlier drafts fade, also while none is tried: documents differ, and a kind that did not pay comes back."""
        old_hits, old_trials = self._kinds.get(kind, (0.0, 0.0))
        self._kinds[kind] = (_FADING * old_hits + hits, _FADING * old_trials + trials)


class Drafts:
    """Makes the drafts of all sequences of one backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.policy = DraftPolicy()

    def make(self, sequence: Sequence, *, tokens: int, sequences: int, room: int) -> Draft | None:
        """What is worth trying after the tokens of ``sequence``, at most ``room`` tokens, all allowed by its grammar.

        ``sequences`` answers share the call, which has ``tokens`` without this draft. None where nothing is worth it,
        and where KV cannot be cut back.
        """
        if room <= 0 or not self._backend.info.prefix_sharing:
            return None
        forced = sequence.constraint.forced_bytes()
        guess = self._guess(sequence, forced)
        for text in guess.texts if guess else ():
            guessed = self._allowed(sequence, forced + text)[:room]
            if guess and guessed:
                length = self.policy.length(guess.kind, len(guessed), tokens=tokens, sequences=sequences)
                if length:
                    return Draft(guess.kind, guessed[:length])
                break
        # Bytes that the grammar forces, but not as which token: a value's opening, which few tokens begin with.
        opening = self._allowed(sequence, forced)[:1]
        length = self.policy.length(OPENING, len(opening), tokens=tokens, sequences=sequences)
        return Draft(OPENING, opening) if length else None

    @staticmethod
    def _guess(sequence: Sequence, forced: bytes) -> Guess | None:
        if sequence.drafter is None:
            return None
        length = len(sequence.output)
        sequence.output += forced  # for the moment: a copy would take the longer the more is written
        try:
            return sequence.drafter.guess(sequence.output)
        finally:
            del sequence.output[length:]

    def _allowed(self, sequence: Sequence, text: bytes) -> list[int]:
        """The leading tokens of ``text`` that the grammar allows here; none where it is no whole text."""
        try:
            tokens = self._backend.tokenize(text.decode(), special=False)
        except UnicodeDecodeError:
            return []
        return tokens[: sequence.constraint.count_allowed(tokens)]
