"""A grammar that allows every token and never ends: for comparing what a model says with another engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class FreeConstraint:
    """Stands in for ``Constraint``; closing its value adds nothing."""

    finished = False
    accepting = True

    def allows(self, token: int) -> bool:
        return True

    def count_allowed(self, tokens: list[int]) -> int:
        return len(tokens)

    def allowed(self, size: int) -> NDArray[np.bool_]:
        return np.ones(size, dtype=np.bool_)

    def consume(self, tokens: Sequence[int]) -> None:
        pass

    def forced(self) -> list[int]:
        return []

    def forced_bytes(self) -> bytes:
        return b""

    def copy(self) -> FreeConstraint:
        return self
