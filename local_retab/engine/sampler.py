"""The choice of the next token from a row of logits, under a grammar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from local_retab.errors import EngineError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from local_retab.engine.constraint import Constraint


def greedy(logits: NDArray[np.float32], constraint: Constraint) -> int:
    """The most likely token that the grammar allows; the lowest id on a tie.

    The unmasked maximum is tried first: it is nearly always allowed, and checking one token costs a hundredth of
    making and applying a mask. Both ways give the same token.
    """
    best = int(logits.argmax())
    if np.isnan(logits[best]):
        raise EngineError("The model computed NaN; its file may be damaged. Check it with `local-retab models verify`.")
    if constraint.allows(best):
        return best
    allowed = np.flatnonzero(constraint.allowed(logits.size))
    if allowed.size == 0:
        raise EngineError("The grammar allows no token here, not even the end.")
    return int(allowed[logits[allowed].argmax()])
