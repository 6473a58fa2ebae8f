"""One stage of the training: its modules, optimisers, step count and curriculum level, in a checkpoint."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nano.batches import Batch
from nano.feed import Feed
from nano.losses import Outcome
from nano.muon import Optimisers

PASSED = 0.75  # share of what a level teaches that is right when the curriculum goes on to the next one
SAVE_EVERY = 50
WARM = 60  # steps in which the rate rises


@dataclass(frozen=True, slots=True)
class Plan:
    """``steps`` of a stage, or what fits in ``seconds`` (0: no limit), those already done included; over the last
    ``decay`` of it, a share, the rate falls to nothing. ``rate`` is of the matrices. ``workers`` processes draw
    pages."""

    steps: int
    seconds: float
    decay: float
    rate: float
    device: str
    workers: int

    def factor(self, step: int, seconds: float) -> float:
        """Of the rates, before one step."""
        left = 1 - step / self.steps
        if self.seconds:
            left = min(left, 1 - seconds / self.seconds)
        return min(1.0, (step + 1) / WARM, max(0.0, left) / self.decay)


class Stage:
    """A stage goes on from its checkpoint where there is one."""

    def __init__(
        self, name: str, folder: Path, seed: int, modules: dict[str, torch.nn.Module], plan: Plan, last_level: int = 0
    ) -> None:
        self.name, self.seed, self.modules, self.plan, self.last_level = name, seed, modules, plan, last_level
        self.path = folder / f"{name}.pt"
        self.log_path = folder / f"{name}.jsonl"
        self.optimisers = Optimisers(modules.values(), matrix_rate=plan.rate, rate=0.2 * plan.rate)
        self.step, self.level, self.pages, self.seconds = 0, 0, 0, 0.0
        folder.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            self.restore(torch.load(self.path, weights_only=True, map_location=plan.device))

    def restore(self, state: dict[str, Any]) -> None:
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
        self.optimisers.load_state_dict(state["optimisers"])
        self.step, self.level, self.pages, self.seconds = (state[key] for key in ("step", "level", "pages", "seconds"))

    def save(self) -> None:
        """Write the checkpoint beside the old one, then in its place."""
        state = {
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "optimisers": self.optimisers.state_dict(),
            **{key: getattr(self, key) for key in ("step", "level", "pages", "seconds")},
        }
        fresh = self.path.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(self.path)

    def run(
        self, make: Callable[[random.Random, int], Batch], learn: Callable[[Batch, random.Random], Outcome]
    ) -> None:
        """Train as planned: ``make`` a batch for a level, and ``learn`` from it on the device."""
        stopped: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
        shares = [0.0] * 5
        feed = Feed(f"{self.seed} {self.name}", make)
        feed.level = self.level
        began = time.monotonic() - self.seconds
        for batch in feed.batches(self.step, self.plan.steps, self.plan.workers):
            outcome = self.teach(batch, learn)
            self.seconds = time.monotonic() - began
            now = (
                outcome.loss.item(),
                outcome.token_accuracy,
                outcome.value_accuracy,
                outcome.tag_accuracy,
                outcome.aim_accuracy,
            )
            keep = 0.95 if any(shares) else 0.0
            shares = [keep * old + (1 - keep) * new for old, new in zip(shares, now, strict=True)]
            if self.step % 10 == 0:
                self.log(shares)
            if self.step % SAVE_EVERY == 0:
                self.save()
            if shares[2] > PASSED and self.level < self.last_level:
                self.level += 1
                feed.level = self.level
                shares = [0.0] * 5
            if stopped or 0 < self.plan.seconds <= self.seconds:
                break
        self.save()

    def teach(self, batch: Batch, learn: Callable[[Batch, random.Random], Outcome]) -> Outcome:
        """One step."""
        with torch.device(self.plan.device):
            here = batch.to(torch.get_default_device())
            outcome = learn(here, random.Random(f"{self.seed} {self.name} {self.step} learn"))
            outcome.loss.backward()  # type: ignore[no-untyped-call]
            self.optimisers.step(self.plan.factor(self.step, self.seconds))
        self.step += 1
        self.pages += len(batch)
        return outcome

    def log(self, shares: list[float]) -> None:
        line = {
            "time": round(time.time()),
            "step": self.step,
            "level": self.level,
            "pages": self.pages,
            "seconds": round(self.seconds),
            "loss": round(shares[0], 4),
            "token_accuracy": round(shares[1], 4),
            "value_accuracy": round(shares[2], 4),
            "tag_accuracy": round(shares[3], 4),
            "aim_accuracy": round(shares[4], 4),
        }
        with self.log_path.open("a") as log:
            log.write(json.dumps(line) + "\n")
        print(self.name, line, flush=True)
