"""Batches: pages of one size with their patches' classes, their pixels where the tower is trained, and questions."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from nano.content import FIELDS, HEADERS
from nano.fonts import Faces
from nano.layout import MOST_ROWS, PAGES, SECOND, Page, draw_up, stack
from nano.question import NOWHERE, Question, ask
from nano.raster import PATCH, SLOTS, Centres, centres, patch_classes, rasterise


@dataclass(frozen=True, slots=True)
class Level:
    """One kind of batch: kinds of page, their sides in patches, fields asked at most, whether the pages are written in
    cells, and sheets a document."""

    kinds: tuple[str, ...]
    columns: tuple[int, int]
    rows: tuple[int, int]
    fields: int = 0
    cells: bool = True
    sheets: int = 1


IN_CELLS = (
    Level(("lines",), (12, 16), (2, 4), 3),
    Level(("lines",), (14, 18), (4, 7), 5),
    Level(("lines", *PAGES), (16, 20), (8, 12), 6),
    Level(PAGES, (16, 20), (7, 11), 8, sheets=2),
    Level(("lines", *PAGES, *PAGES), (16, 22), (16, 25), 8),
    Level(("lines", *PAGES, *PAGES), (16, 22), (16, 25), 8),
)
LEVELS = IN_CELLS + tuple(replace(level, cells=False) for level in IN_CELLS)
READING = (
    Level(("text",), (14, 18), (6, 10)),
    Level(("text", *PAGES), (16, 22), (10, 18)),
    Level(("text", *PAGES), (16, 22), (10, 18), cells=False),
)


# What a value is: its field or column, its row of items, and how many characters into it, two more as a patch may begin
# before its value. 0 is nothing of the kind.
TAG_OF = {spot: tag for tag, spot in enumerate([*((n, False) for n in FIELDS), *((n, True) for n in HEADERS)], start=1)}
LESSONS = (len(TAG_OF) + 1, MOST_ROWS + 3, 32)
UNKNOWN = -2


@dataclass(frozen=True, slots=True)
class Batch:
    """``rows`` of patches of all ``sheets`` of a document. ``pixels`` (sheets of all pages, height, width) or None,
    ``classes`` (pages, patches, SLOTS) and ``strips`` (pages, patches, STRIPS) as ``patch_classes`` gives them,
    ``tokens`` and ``learn`` (pages, longest answer), the latter 0 for what is forced or padding; ``ends`` as in
    ``Question``.

    ``tags`` (pages, patches, 3) and ``asked`` (pages, longest answer, 3) say of which value a patch shows characters
    and of which value a token is, and where in it, as LESSONS (UNKNOWN: not to be taught); ``aims`` and ``slots``
    (pages, longest answer) in which patch of the page, and as which of its characters, that token is printed (aim
    NOWHERE: not on the page; UNKNOWN)."""

    rows: int
    sheets: int
    pixels: Tensor | None
    classes: Tensor
    strips: Tensor
    tokens: Tensor
    learn: Tensor
    ends: Tensor
    tags: Tensor
    asked: Tensor
    aims: Tensor
    slots: Tensor

    def __len__(self) -> int:
        """Documents."""
        return len(self.classes)

    def to(self, device: torch.device) -> Batch:
        """The same batch, there."""
        moved = {each.name: getattr(self, each.name) for each in fields(self)}
        return replace(self, **{name: value.to(device) for name, value in moved.items() if isinstance(value, Tensor)})


def make_batch(
    faces: Faces, rng: random.Random, level: Level, budget: int, *, pixels: bool, questions: bool, unseen: bool = False
) -> Batch:
    """Pages of one level, as many as ``budget`` tokens hold."""
    columns, rows = rng.randint(*level.columns), rng.randint(*level.rows)
    each = columns * rows * level.sheets + (30 + 35 * level.fields if questions else 0)
    pages, images, places, asked = [], [], [], []
    side = (columns * PATCH, rows * PATCH)
    for _ in range(max(2, budget // each)):
        sheets = [draw_up(faces, *side, rng, kind=rng.choice(level.kinds), cells=level.cells, unseen=unseen)]
        if level.sheets == 2:
            kind = rng.choice(SECOND)
            sheets.append(draw_up(faces, *side, rng, kind=kind, cells=level.cells, unseen=unseen, items=False))
        page = stack(*sheets) if level.sheets == 2 else sheets[0]
        jitter = None
        if pixels:
            drawn = [rasterise(sheet, rng) for sheet in sheets]
            images += [image for image, _ in drawn]
            skew = drawn[0][1] if level.sheets == 1 else 0.0  # in cells too small to move a character out of its patch
        else:
            skew = math.radians(rng.uniform(-0.7, 0.7)) if rng.random() < 0.3 and not level.cells else 0.0
            noise = np.random.default_rng(rng.getrandbits(32))
            count = sum(len(run.text) + 1 for run in page.runs)
            jitter = noise.normal(0, 0.6, (2, count)).astype(np.float32)
            jitter[1] = noise.normal(0, 0.5)
        pages.append(page)
        places.append(centres(page, skew, jitter=jitter))
        if questions:
            asked.append(ask(page, rng, most=level.fields))
    longest = max((len(question.tokens) for question in asked), default=0)
    shown = torch.from_numpy(np.stack([patch_classes(*pair) for pair in zip(pages, places, strict=True)]))
    batch = Batch(
        rows=rows * level.sheets,
        sheets=level.sheets,
        pixels=torch.from_numpy(np.stack(images)) if images else None,
        classes=shown[..., :SLOTS],
        strips=shown[..., SLOTS:],
        tokens=torch.zeros(len(pages), longest, dtype=torch.long),
        learn=torch.zeros(len(pages), longest, dtype=torch.long),
        ends=torch.zeros(len(pages), longest, dtype=torch.bool),
        tags=torch.zeros(*shown.shape[:2], len(LESSONS), dtype=torch.long),
        asked=torch.full((len(pages), longest, len(LESSONS)), UNKNOWN),
        aims=torch.full((len(pages), longest), UNKNOWN),
        slots=torch.zeros(len(pages), longest, dtype=torch.long),
    )
    for index, question in enumerate(asked):
        length = len(question.tokens)
        batch.tokens[index, :length] = torch.tensor(question.tokens)
        batch.learn[index, :length] = torch.tensor(question.learn)
        batch.ends[index, :length] = torch.tensor(question.ends)
        _teach(batch, index, pages[index], places[index], question)
    return batch


def _teach(batch: Batch, index: int, page: Page, found: Centres, question: Question) -> None:
    """Fill in the tags and aims of one page."""

    def tag(name: str, row: int, count: int) -> Tensor:
        return torch.tensor([TAG_OF[name, row > 0], row, min(max(1, count + 2), LESSONS[2] - 1)])

    for (name, row), (run, offset) in page.places.items():
        value = page.items[row - 1][name] if row else page.says[name]
        start = found.starts[run] + offset
        for count in range(len(value.printed)):
            patch = found.patch[start + count]
            if patch >= 0:
                batch.tags[index, patch] = tag(name, row, count - int(found.slot[start + count]))
    for place, aim in enumerate(question.aims):
        if aim is None:
            continue
        name, row, offset = aim
        batch.asked[index, place] = tag(name, row, offset)
        if offset == NOWHERE:
            batch.aims[index, place] = NOWHERE
            continue
        run, first = page.places[name, row]
        at = found.starts[run] + first + offset
        if found.patch[at] >= 0 and found.slot[at] < SLOTS:
            batch.aims[index, place] = int(found.patch[at])
            batch.slots[index, place] = int(found.slot[at])
