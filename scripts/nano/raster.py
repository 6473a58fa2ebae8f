"""Pages to pixels: glyphs on paper, then skew, blur, noise and JPEG damage; and what each patch of them shows."""

from __future__ import annotations

import io
import math
import random

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


def patch_classes(page: Page, skew: float, *, jitter: NDArray[np.float32] | None = None) -> NDArray[np.int64]:
    """What each patch shows: (patches, SLOTS + STRIPS) classes, rows of patches from the top.

    The first SLOTS are characters in order: what an image token is taught to be. The others say for each strip which
    character has its centre in it: an easier lesson on the way.

    ``jitter`` are random offsets in pixels, at least one a character and axis, for training on uncertain places.
    """
    columns, rows = page.width // PATCH, page.height // PATCH
    classes, xs, ys = [], [], []
    for run in page.runs:
        pen = float(run.x)
        middle = run.baseline - 0.35 * run.face.size
        for char in run.text:
            advance = run.face.glyph(char).advance
            classes.append(CLASS_OF[char])
            xs.append(pen + advance / 2)
            ys.append(middle)
            pen += advance
    result = np.zeros((rows * columns, SLOTS + STRIPS), dtype=np.int64)
    if not classes:
        return result
    x, y = np.array(xs), np.array(ys)
    if skew:  # a picture turned counter-clockwise about its middle
        dx, dy = x - page.width / 2, y - page.height / 2
        x = page.width / 2 + dx * math.cos(skew) + dy * math.sin(skew)
        y = page.height / 2 - dx * math.sin(skew) + dy * math.cos(skew)
    if jitter is not None:
        x = x + jitter[0, : len(x)]
        y = y + jitter[1, : len(y)]
    column, row = (x // PATCH).astype(int), (y // PATCH).astype(int)
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    patch = np.where(inside, row * columns + column, -1)
    for index in np.lexsort((x, patch)):
        place = patch[index]
        if place < 0:
            continue
        slots = result[place]
        slots[SLOTS + int(x[index] % PATCH * STRIPS / PATCH)] = classes[index]
        free = np.flatnonzero(slots[:SLOTS] == 0)
        if len(free):
            slots[free[0]] = classes[index]
    return result
