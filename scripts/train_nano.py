"""Trains the small vision model that ships with the project, from nothing, on generated pages.

Three stages: ``read`` teaches the tower which characters lie under each patch; ``answer`` teaches the decoder to answer
schemas from those characters' codes, and needs no pixels; ``join`` trains both together on pixels. The first two run at
the same time. Every stage goes on from its last checkpoint. ``all`` runs the whole plan.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from nano.alphabet import CLASSES
from nano.batches import LESSONS, LEVELS, READING, make_batch
from nano.circuit import begin_decoder, begin_tower
from nano.fonts import SEEN, find_faces
from nano.losses import Outcome, answering_loss, reading_loss, strip_loss
from nano.model import Decoder, Sizes, Tower, character_codes, code_of, patches, prepare
from nano.muon import Optimisers
from nano.raster import STRIPS
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
PASSED = 0.75  # share of what a level teaches that is right when the curriculum goes on to the next one
SAVE_EVERY = 50
SEEING = 0.25  # share of the steps of ``join`` that train the tower as well

app = typer.Typer(add_completion=False, help=__doc__, rich_markup_mode=None)
Folder = Annotated[Path, typer.Option(help="Where checkpoints and logs are kept")]
Seed = Annotated[int, typer.Option(help="Seed of weights and pages")]
Steps = Annotated[int, typer.Option(help="Steps of this stage, those already done included")]
Decay = Annotated[int, typer.Option(help="Over how many of the last steps the rate falls to nothing")]
Tokens = Annotated[int, typer.Option(help="Tokens of a step")]
Rate = Annotated[float, typer.Option(help="Learning rate of the matrices")]
Last = Annotated[int, typer.Option(help="Last level of the curriculum")]
Threads = Annotated[int, typer.Option(help="Processor threads")]
DEFAULT_FOLDER = ROOT / "build" / "nano"


class Stage:
    """One stage: its modules, optimisers, step count and curriculum level, in a checkpoint."""

    def __init__(
        self, name: str, folder: Path, seed: int, modules: dict[str, torch.nn.Module], rate: float, last_level: int = 0
    ) -> None:
        self.name, self.seed, self.modules = name, seed, modules
        self.path = folder / f"{name}.pt"
        self.log_path = folder / f"{name}.jsonl"
        self.optimisers = Optimisers(modules.values(), matrix_rate=rate, rate=0.2 * rate)
        self.step, self.level, self.pages, self.seconds = 0, 0, 0, 0.0
        self.last_level = last_level
        folder.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            self.restore(torch.load(self.path, weights_only=True))

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

    def run(self, steps: int, decay: int, step: Callable[[random.Random], tuple[Outcome, int]]) -> None:
        """Train up to ``steps``; ``step`` makes one batch and gives its outcome and its number of pages."""
        stopped: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
        shares = [0.0] * 5
        while self.step < steps and not stopped:
            started = time.process_time()
            outcome, pages = step(random.Random(f"{self.seed} {self.name} {self.step}"))
            outcome.loss.backward()  # type: ignore[no-untyped-call]
            self.optimisers.step(min(1.0, (self.step + 1) / 60, (steps - self.step) / max(1, decay)))
            self.step += 1
            self.pages += pages
            self.seconds += time.process_time() - started
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
                shares = [0.0] * 5
        self.save()

    def log(self, shares: list[float]) -> None:
        line = {
            "time": round(time.time()),
            "step": self.step,
            "level": self.level,
            "pages": self.pages,
            "cpu_seconds": round(self.seconds),
            "loss": round(shares[0], 4),
            "token_accuracy": round(shares[1], 4),
            "value_accuracy": round(shares[2], 4),
            "tag_accuracy": round(shares[3], 4),
            "aim_accuracy": round(shares[4], 4),
        }
        with self.log_path.open("a") as log:
            log.write(json.dumps(line) + "\n")
        print(line, flush=True)


def begin(seed: int, threads: int) -> Sizes:
    os.nice(max(0, 19 - os.nice(0)))
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    return Sizes()


@app.command()
def read(
    checkpoints: Folder = DEFAULT_FOLDER,
    seed: Seed = 1,
    steps: Steps = 3000,
    decay: Decay = 750,
    tokens: Tokens = 2560,
    rate: Rate = 0.012,
    last: Last = 1,
    threads: Threads = 1,
) -> None:
    """Teach the tower to see characters."""
    tower, codes, faces = Tower(begin(seed, threads)), character_codes(), find_faces(SEEN)
    begin_tower(tower)
    # The lesson of the strips is given by a head of its own, which is not exported.
    names = torch.nn.Linear(tower.sizes.width, STRIPS * CLASSES)
    stage = Stage("read", checkpoints, seed, {"tower": tower, "names": names}, rate, last)

    def step(rng: random.Random) -> tuple[Outcome, int]:
        level = READING[stage.level if rng.random() < 0.85 else rng.randint(0, stage.level)]
        batch = make_batch(faces, rng, level, tokens, pixels=True, questions=False)
        assert batch.pixels is not None
        if stage.level == 0:  # every character lies in one patch: the blocks, which still add nothing, are passed by
            picked = batch.classes.any(-1) | (torch.rand(batch.classes.shape[:2]) < 0.1)
            image = tower.project(tower.norm(tower.patch(patches(prepare(batch.pixels))[picked])))
            return reading_loss(image.unsqueeze(0), batch.classes[picked].unsqueeze(0), codes), len(batch.pages)
        early, late = tower.see(prepare(batch.pixels))
        strips = strip_loss(names(early).unflatten(-1, (STRIPS, CLASSES)), batch.strips)
        slots = reading_loss(tower.project(late), batch.classes, codes)
        total = Outcome(slots.loss + strips.loss, slots.token_accuracy, strips.token_accuracy)
        return total, len(batch.pages)

    stage.run(steps, decay, step)


@app.command()
def answer(
    checkpoints: Folder = DEFAULT_FOLDER,
    seed: Seed = 1,
    steps: Steps = 4000,
    decay: Decay = 600,
    tokens: Tokens = 2560,
    rate: Rate = 0.02,
    threads: Threads = 1,
) -> None:
    """Teach the decoder to answer schemas from the codes of characters."""
    decoder, codes, faces = Decoder(begin(seed, threads)), character_codes(), find_faces(SEEN)
    begin_decoder(decoder)
    tagger = torch.nn.Linear(decoder.sizes.width, sum(LESSONS))  # not exported
    stage = Stage("answer", checkpoints, seed, {"decoder": decoder, "tagger": tagger}, rate)

    def step(rng: random.Random) -> tuple[Outcome, int]:
        batch = make_batch(faces, rng, rng.choice(LEVELS), tokens, pixels=False, questions=True)
        image = code_of(batch.classes, codes)
        generator = torch.Generator().manual_seed(rng.getrandbits(40))
        image = image + 0.1 * torch.randn(image.shape, generator=generator)
        # The tower will not be sure of every patch: some are mixed with others.
        doubt = 0.4 * (torch.rand(image.shape[:2], generator=generator) < 0.03).unsqueeze(-1)
        image = image + doubt * (image.roll(7, 1) - image)
        return answering_loss(decoder, tagger, image, batch), len(batch.pages)

    stage.run(steps, decay, step)


@app.command()
def join(
    checkpoints: Folder = DEFAULT_FOLDER,
    seed: Seed = 1,
    steps: Steps = 2000,
    decay: Decay = 1000,
    tokens: Tokens = 2560,
    rate: Rate = 0.006,
    threads: Threads = 1,
) -> None:
    """Train the decoder on what the tower sees, and the tower with it, from what the first two stages learnt."""
    sizes = begin(seed, threads)
    tower, decoder, codes, faces = Tower(sizes), Decoder(sizes), character_codes(), find_faces(SEEN)
    tagger = torch.nn.Linear(sizes.width, sum(LESSONS))
    modules = {"tower": tower, "decoder": decoder, "tagger": tagger}
    stage = Stage("join", checkpoints, seed, modules, rate)
    if stage.step == 0:
        for name in ("read", "answer"):
            state = torch.load(checkpoints / f"{name}.pt", weights_only=True)
            for part in state["modules"].keys() & modules.keys():
                modules[part].load_state_dict(state["modules"][part])

    def step(rng: random.Random) -> tuple[Outcome, int]:
        batch = make_batch(faces, rng, rng.choice(LEVELS[1:]), tokens, pixels=True, questions=True)
        assert batch.pixels is not None
        with torch.set_grad_enabled(rng.random() < SEEING):
            image: Tensor = tower(prepare(batch.pixels)).reshape(len(batch.pages), -1, sizes.width)
        answered = answering_loss(decoder, tagger, image, batch)
        seen = reading_loss(image, batch.classes, codes)
        return replace(answered, loss=answered.loss + 0.5 * seen.loss), len(batch.pages)

    stage.run(steps, decay, step)


@app.command("all")
def everything(checkpoints: Folder = DEFAULT_FOLDER, seed: Seed = 1) -> None:
    """The whole plan: read and answer side by side, then join."""
    options = ["--checkpoints", str(checkpoints), "--seed", str(seed)]
    first = [subprocess.Popen([sys.executable, __file__, name, *options]) for name in ("read", "answer")]
    failed = [process.args for process in first if process.wait()]
    if failed:
        sys.exit(f"train_nano: stopped early: {failed}")
    sys.exit(subprocess.call([sys.executable, __file__, "join", *options]))


if __name__ == "__main__":
    app()
