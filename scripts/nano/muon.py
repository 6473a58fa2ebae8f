"""The optimiser: Muon for the matrices inside the blocks, AdamW for everything else.

Muon is momentum whose update is orthogonalised by five Newton-Schulz steps (Keller Jordan, 2024,
https://kellerjordan.github.io/posts/muon/). Here in float32, all matrices of one shape at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def orthogonalise(matrices: Tensor) -> Tensor:
    """Push all singular values of matrices (..., height, width) towards 1."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        product = x @ x.mT
        x = 3.4445 * x + (-4.775 * product + 2.0315 * product @ product) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; the rate is for square matrices and grows with the height of tall ones."""

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, decay: float = 0.02) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            waiting = defaultdict(list)  # those of one shape take their steps together
            for parameter in group["params"]:
                if parameter.grad is not None:
                    waiting[parameter.shape].append(parameter)
            for shape, parameters in waiting.items():
                scale = max(1.0, shape[0] / shape[1]) ** 0.5
                updates = orthogonalise(torch.stack([self._moved(each, group["momentum"]) for each in parameters]))
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["decay"]).add_(update, alpha=-group["lr"] * scale)

    def _moved(self, parameter: Tensor, momentum: float) -> Tensor:
        """The gradient with Nesterov momentum."""
        state = self.state[parameter]
        if "moving" not in state:
            state["moving"] = torch.zeros_like(parameter)
        assert parameter.grad is not None
        moving = state["moving"].lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(moving, momentum)


class Optimisers:
    """Both optimisers over one set of modules, with one learning-rate factor."""

    def __init__(self, modules: Iterable[nn.Module], *, matrix_rate: float, rate: float) -> None:
        named = [item for module in modules for item in module.named_parameters()]
        matrices = ("blocks.", "hidden.", "token.")
        inner = [value for name, value in named if name.startswith(matrices) and value.ndim == 2]
        outer = [value for name, value in named if not (name.startswith(matrices) and value.ndim == 2)]
        self.parameters = inner + outer
        self._all = (
            Muon(inner, lr=matrix_rate),
            torch.optim.AdamW(outer, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
        )
        self._rates = (matrix_rate, rate)

    def step(self, factor: float) -> None:
        """One step at ``factor`` times the rates; gradients are clipped to norm 1 and cleared."""
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimiser, rate in zip(self._all, self._rates, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * factor
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        return [optimiser.state_dict() for optimiser in self._all]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for optimiser, state in zip(self._all, states, strict=True):
            optimiser.load_state_dict(state)
