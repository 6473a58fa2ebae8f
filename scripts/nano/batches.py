"""Batches: pages of one size with their patches' classes, their pixels where the tower is trained, and questions."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nano.fonts import Faces
from nano.layout import PAGES, Page, draw_up
from nano.question import Question, ask
from nano.raster import PATCH, SLOTS, patch_classes, rasterise


@dataclass(frozen=True, slots=True)
class Level:
    """One step of the curriculum: kinds of page, their sides in patches, fields asked at most, and whether the pages
    are written in cells."""

    kinds: tuple[str, ...]
    columns: tuple[int, int]
    rows: tuple[int, int]
    fields: int = 0
    cells: bool = True


LEVELS = (
    Level(("line",), (12, 15), (2, 2), 1),
    Level(("lines",), (12, 16), (2, 4), 3),
    Level(("lines",), (14, 18), (4, 7), 5),
    Level(("lines", "lines", *PAGES), (16, 20), (8, 12), 6),
    Level(("lines", *PAGES, *PAGES), (16, 22), (16, 25), 8),
    Level(("lines", *PAGES, *PAGES), (16, 22), (16, 25), 8, cells=False),
)
READING = (
    Level(("text",), (14, 18), (6, 10)),
    Level(("text", *PAGES), (16, 22), (10, 18)),
    Level(("text", *PAGES), (16, 22), (10, 18), cells=False),
)


@dataclass(frozen=True, slots=True)
class Batch:
    """``pixels`` (pages, height, width) or None, ``classes`` (pages, patches, SLOTS) and ``strips``
    (pages, patches, STRIPS) as ``patch_classes`` gives them, ``tokens`` and ``learn``
    (pages, longest answer), the latter 0 for what is forced or padding."""

    rows: int
    pixels: Tensor | None
    classes: Tensor
    strips: Tensor
    tokens: Tensor
    learn: Tensor
    pages: list[Page]
    questions: list[Question]


def make_batch(
    faces: Faces, rng: random.Random, level: Level, budget: int, *, pixels: bool, questions: bool, unseen: bool = False
) -> Batch:
    """Pages of one level, as many as ``budget`` tokens hold."""
    columns, rows = rng.randint(*level.columns), rng.randint(*level.rows)
    each = columns * rows + (30 + 35 * level.fields if questions else 0)
    pages, images, classes, asked = [], [], [], []
    for _ in range(max(2, budget // each)):
        page = draw_up(
            faces, columns * PATCH, rows * PATCH, rng, kind=rng.choice(level.kinds), cells=level.cells, unseen=unseen
        )
        jitter = None
        if pixels:
            image, skew = rasterise(page, rng)
            images.append(image)
        else:
            skew = math.radians(rng.uniform(-0.7, 0.7)) if rng.random() < 0.3 and not level.cells else 0.0
            noise = np.random.default_rng(rng.getrandbits(32))
            count = sum(len(run.text) for run in page.runs)
            jitter = noise.normal(0, 0.6, (2, count)).astype(np.float32)
            jitter[1] = noise.normal(0, 0.5)
        pages.append(page)
        classes.append(patch_classes(page, skew, jitter=jitter))
        if questions:
            asked.append(ask(page, rng, most=level.fields))
    longest = max((len(question.tokens) for question in asked), default=0)
    tokens = torch.zeros(len(pages), longest, dtype=torch.long)
    learn = torch.zeros(len(pages), longest, dtype=torch.long)
    for index, question in enumerate(asked):
        tokens[index, : len(question.tokens)] = torch.tensor(question.tokens)
        learn[index, : len(question.learn)] = torch.tensor(question.learn)
    shown = torch.from_numpy(np.stack(classes))
    return Batch(
        rows=rows,
        pixels=torch.from_numpy(np.stack(images)) if images else None,
        classes=shown[..., :SLOTS],
        strips=shown[..., SLOTS:],
        tokens=tokens,
        learn=learn,
        pages=pages,
        questions=asked,
    )
