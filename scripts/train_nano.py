"""Trains the small vision model that ships with the project, from nothing, on generated pages.

Three stages: ``read`` teaches the tower which characters lie under each patch; ``answer`` teaches the decoder to answer
schemas from those characters' codes, and needs no pixels; ``join`` trains both together on pixels. The first two run at
the same time. Every stage goes on from its last checkpoint. ``all`` runs the whole plan.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from nano.alphabet import CLASSES
from nano.batches import LESSONS, LEVELS, READING, Batch, make_batch
from nano.circuit import begin_decoder, begin_tower
from nano.fonts import SEEN, find_faces
from nano.losses import Outcome, answering_loss, reading_loss, strip_loss
from nano.model import Decoder, Sizes, Tower, character_codes, code_of, patches, prepare
from nano.raster import STRIPS
from nano.stage import Plan, Stage
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
FIRST = 0.4  # share of all seconds that goes to the first two stages

MANY = 10**6  # steps, where seconds are the limit

app = typer.Typer(add_completion=False, help=__doc__, rich_markup_mode=None)
Folder = Annotated[Path, typer.Option(help="Where checkpoints and logs are kept")]
Seed = Annotated[int, typer.Option(help="Seed of weights and pages")]
Steps = Annotated[int, typer.Option(help="Steps of this stage, those already done included")]
Seconds = Annotated[float, typer.Option(help="Seconds at most, those already spent included; 0: as many as it takes")]
Decay = Annotated[float, typer.Option(help="Over which last share of a stage the rate falls to nothing")]
Tokens = Annotated[int, typer.Option(help="Tokens of a step")]
Rate = Annotated[float, typer.Option(help="Learning rate of the matrices")]
Last = Annotated[int, typer.Option(help="Last level of the curriculum")]
Seeing = Annotated[float, typer.Option(help="Share of the steps that train the tower as well")]
Threads = Annotated[int, typer.Option(help="Processor threads")]
Workers = Annotated[int, typer.Option(help="Processes that draw pages beside the training; 0: none")]
Device = Annotated[str, typer.Option(help="What PyTorch computes on: cpu, cuda")]
DEFAULT_FOLDER = ROOT / "build" / "nano"


def begin(seed: int, threads: int) -> Sizes:
    os.nice(max(0, 19 - os.nice(0)))
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("high")
    torch.manual_seed(seed)
    return Sizes()


@app.command()
def read(
    checkpoints: Folder = DEFAULT_FOLDER,
    seed: Seed = 1,
    steps: Steps = 4000,
    seconds: Seconds = 0,
    decay: Decay = 0.25,
    tokens: Tokens = 2560,
    rate: Rate = 0.012,
    last: Last = 2,
    threads: Threads = 1,
    workers: Workers = 0,
    device: Device = "cpu",
) -> None:
    """Teach the tower to see characters."""
    sizes, faces = begin(seed, threads), find_faces(SEEN)
    with torch.device(device):
        tower, codes = Tower(sizes), character_codes()
        begin_tower(tower)
        # The lesson of the strips is given by a head of its own, which is not exported.
        names = torch.nn.Linear(sizes.width, STRIPS * CLASSES)
    plan = Plan(steps, seconds, decay, rate, device, workers)
    stage = Stage("read", checkpoints, seed, {"tower": tower, "names": names}, plan, last)

    def make(rng: random.Random, level: int) -> Batch:
        chosen = READING[level if rng.random() < 0.7 else rng.randint(0, level)]
        return make_batch(faces, rng, chosen, tokens, pixels=True, questions=False)

    def learn(batch: Batch, rng: random.Random) -> Outcome:
        assert batch.pixels is not None
        if stage.level == 0:  # every character lies in one patch: the blocks, which still add nothing, are passed by
            picked = batch.classes.any(-1) | (torch.rand(batch.classes.shape[:2]) < 0.1)
            image = tower.project(tower.norm(tower.patch(patches(prepare(batch.pixels))[picked])))
            return reading_loss(image.unsqueeze(0), batch.classes[picked].unsqueeze(0), codes)
        early, late = tower.see(prepare(batch.pixels))
        strips = strip_loss(names(early).unflatten(-1, (STRIPS, CLASSES)), batch.strips)
        slots = reading_loss(tower.project(late), batch.classes, codes)
        return Outcome(slots.loss + strips.loss, slots.token_accuracy, strips.token_accuracy)

    stage.run(make, learn)


@app.command()
def answer(
    checkpoints: Folder = DEFAULT_FOLDER,
    seed: Seed = 1,
    steps: Steps = 4000,
    seconds: Seconds = 0,
    decay: Decay = 0.15,
    tokens: Tokens = 2560,
    rate: Rate = 0.02,
    threads: Threads = 1,
    workers: Workers = 0,
    device: Device = "cpu",
) -> None:
    """Teach the decoder to answer schemas from the codes of characters."""
    sizes, faces = begin(seed, threads), find_faces(SEEN)
    with torch.device(device):
        decoder, codes = Decoder(sizes), character_codes()
        begin_decoder(decoder)
        tagger = torch.nn.Linear(sizes.width, sum(LESSONS))  # not exported
    plan = Plan(steps, seconds, decay, rate, device, workers)
    stage = Stage("answer", checkpoints, seed, {"decoder": decoder, "tagger": tagger}, plan)

    def make(rng: random.Random, level: int) -> Batch:
        return make_batch(faces, rng, rng.choice(LEVELS), tokens, pixels=False, questions=True)

    def learn(batch: Batch, rng: random.Random) -> Outcome:
        image = code_of(batch.classes, codes)
        generator = torch.Generator(device).manual_seed(rng.getrandbits(40))
        image = image + 0.1 * torch.randn(image.shape, generator=generator)
        # The tower will not be sure of every patch: some are mixed with others.
        doubt = 0.4 * (torch.rand(image.shape[:2], generator=generator) < 0.03).unsqueeze(-1)
        image = image + doubt * (image.roll(7, 1) - image)
        return answering_loss(decoder, tagger, image, batch)

    stage.run(make, learn)


@app.command()
def join(
    checkpoints: Folder = DEFAULT_FOLDER,
    seed: Seed = 1,
    steps: Steps = 2000,
    seconds: Seconds = 0,
    decay: Decay = 0.5,
    tokens: Tokens = 2560,
    rate: Rate = 0.006,
    seeing: Seeing = 0.25,
    threads: Threads = 1,
    workers: Workers = 0,
    device: Device = "cpu",
) -> None:
    """Train the decoder on what the tower sees, and the tower with it, from what the first two stages learnt."""
    sizes, faces = begin(seed, threads), find_faces(SEEN)
    with torch.device(device):
        tower, decoder, codes = Tower(sizes), Decoder(sizes), character_codes()
        tagger = torch.nn.Linear(sizes.width, sum(LESSONS))
    modules = {"tower": tower, "decoder": decoder, "tagger": tagger}
    stage = Stage("join", checkpoints, seed, modules, Plan(steps, seconds, decay, rate, device, workers))
    if stage.step == 0:
        for name in ("read", "answer"):
            state = torch.load(checkpoints / f"{name}.pt", weights_only=True, map_location=device)
            for part in state["modules"].keys() & modules.keys():
                modules[part].load_state_dict(state["modules"][part])

    def make(rng: random.Random, level: int) -> Batch:
        return make_batch(faces, rng, rng.choice(LEVELS), tokens, pixels=True, questions=True)

    def learn(batch: Batch, rng: random.Random) -> Outcome:
        assert batch.pixels is not None
        with torch.set_grad_enabled(rng.random() < seeing):
            image: Tensor = tower(prepare(batch.pixels)).reshape(len(batch), -1, sizes.width)
        answered = answering_loss(decoder, tagger, image, batch)
        seen = reading_loss(image, batch.classes, codes)
        return replace(answered, loss=answered.loss + 0.5 * seen.loss)

    stage.run(make, learn)


@app.command("all")
def everything(
    checkpoints: Folder = DEFAULT_FOLDER,
    seed: Seed = 1,
    seconds: Seconds = 0,
    tokens: Tokens = 2560,
    seeing: Seeing = 0.25,
    workers: Workers = 0,
    device: Device = "cpu",
) -> None:
    """The whole plan: read and answer side by side, then join."""
    options = ["--checkpoints", str(checkpoints), "--seed", str(seed), "--tokens", str(tokens), "--device", device]
    if seconds:
        options += ["--steps", str(MANY)]
    some = ["--seconds", str(FIRST * seconds), "--workers", str(workers // 2), *options]
    first = [subprocess.Popen([sys.executable, __file__, name, *some]) for name in ("read", "answer")]
    failed = [process.args for process in first if process.wait()]
    if failed:
        sys.exit(f"train_nano: stopped early: {failed}")
    last = ["--seconds", str((1 - FIRST) * seconds), "--workers", str(workers), "--seeing", str(seeing), *options]
    sys.exit(subprocess.call([sys.executable, __file__, "join", *last]))


if __name__ == "__main__":
    app()
