"""Pages to pixels: glyphs on paper, then skew, blur, noise and JPEG damage; and what each patch of them shows."""

from __future__ import annotations

import io
import math
import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from nano.alphabet import CLASS_OF
from nano.layout import Page

PATCH = 16
SLOTS = 3  # characters whose centres lie in one patch
STRIPS = 4  # upright strips of a patch, each wide enough for the centre of one character


def rasterise(page: Page, rng: random.Random, *, damage: float = 1.0) -> tuple[NDArray[np.uint8], float]:
    """The page as grey pixels (height, width), and the skew in radians. ``damage`` is the share of damaged pages."""
    ink = np.zeros((page.height, page.width), dtype=np.float32)
    for x_from, x_to, y in page.rules:
        if 0 <= y < page.height:
            ink[y, x_from:x_to] = 0.7
    for run in page.runs:
        pen = float(run.x)
        for char in run.text:
            glyph = run.face.glyph(char)
            _stamp(ink, glyph.mask, round(pen) + glyph.left, run.baseline + glyph.top)
            pen += glyph.advance
    if page.cells and damage:  # the paper was not straight in the scanner
        ink = np.roll(ink, (rng.randint(-1, 1), rng.randint(-1, 1)), axis=(0, 1))
    paper, black = rng.uniform(0.86, 1.0), rng.uniform(0.0, 0.3)
    grey = paper - ink * (paper - black)
    skew = 0.0
    if rng.random() < 0.35 * damage:
        skew = math.radians(rng.uniform(-0.7, 0.7) * (0.3 if page.cells else 1))
    image = Image.fromarray((grey * 255).astype(np.uint8))
    if skew:
        image = image.rotate(math.degrees(skew), Image.Resampling.BICUBIC, fillcolor=int(paper * 255))
    if rng.random() < 0.2 * damage:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.7)))
    if rng.random() < 0.4 * damage:
        noise = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(1, 9), (page.height, page.width))
        image = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    if rng.random() < 0.3 * damage:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=rng.randint(35, 92))
        image = Image.open(buffer)
    return np.array(image, dtype=np.uint8), skew


def _stamp(ink: NDArray[np.float32], mask: NDArray[np.float32], x: int, y: int) -> None:
    height, width = mask.shape
    top, left = max(0, -y), max(0, -x)
    bottom, right = min(height, ink.shape[0] - y), min(width, ink.shape[1] - x)
    if bottom > top and right > left:
        area = ink[y + top : y + bottom, x + left : x + right]
        np.maximum(area, mask[top:bottom, left:right], out=area)


@dataclass(frozen=True, slots=True)
class Centres:
    """Where the middles of characters lie, run after run, and after each run the place of one character more.

    ``classes`` (0 for that place), ``x``, ``patch`` (-1 outside of the page) and ``slot`` (how many characters lie
    before it in its patch) have one entry a place; ``starts`` has the index of the first one of each run.
    """

    classes: NDArray[np.int64]
    x: NDArray[np.float64]
    patch: NDArray[np.int64]
    slot: NDArray[np.int64]
    starts: list[int]


def centres(page: Page, skew: float, *, jitter: NDArray[np.float32] | None = None) -> Centres:
    """Find all characters of a page. ``jitter`` are random offsets in pixels, at least one a place and axis, for
    training on uncertain places."""
    classes, xs, ys, starts = [], [], [], []
    for run in page.runs:
        starts.append(len(xs))
        pen = float(run.x)
        advance = 0.0
        for char in run.text:
            advance = run.face.glyph(char).advance
            classes.append(CLASS_OF[char])
            xs.append(pen + advance / 2)
            pen += advance
        classes.append(0)
        xs.append(pen + advance / 2)
        ys += [run.baseline - 0.35 * run.face.size] * (len(run.text) + 1)
    x, y = np.array(xs), np.array(ys)
    if skew:  # a picture turned counter-clockwise about its middle
        dx, dy = x - page.width / 2, y - page.height / 2
        x = page.width / 2 + dx * math.cos(skew) + dy * math.sin(skew)
        y = page.height / 2 - dx * math.sin(skew) + dy * math.cos(skew)
    if jitter is not None:
        x = x + jitter[0, : len(x)]
        y = y + jitter[1, : len(y)]
    columns, rows = page.width // PATCH, page.height // PATCH
    column, row = (x // PATCH).astype(int), (y // PATCH).astype(int)
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    patch = np.where(inside, row * columns + column, -1)
    slot = np.zeros(len(x), dtype=np.int64)
    held: dict[int, int] = {}
    for index in np.lexsort((x, patch)):
        place = int(patch[index])
        slot[index] = held.get(place, 0)
        held[place] = held.get(place, 0) + (classes[index] > 0)
    return Centres(np.array(classes, dtype=np.int64), x, patch, slot, starts)


def patch_classes(page: Page, found: Centres) -> NDArray[np.int64]:
    """What each patch shows: (patches, SLOTS + STRIPS) classes, rows of patches from the top.

    The first SLOTS are characters in order: what an image token is taught to be. The others say for each strip which
    character has its centre in it: an easier lesson on the way.
    """
    result = np.zeros(((page.width // PATCH) * (page.height // PATCH), SLOTS + STRIPS), dtype=np.int64)
    shown = (found.patch >= 0) & (found.classes > 0)
    for kind, x, patch, slot in zip(
        *(values[shown] for values in (found.classes, found.x, found.patch, found.slot)), strict=True
    ):
        result[patch, SLOTS + int(x % PATCH * STRIPS / PATCH)] = kind
        if slot < SLOTS:
            result[patch, slot] = kind
    return result
