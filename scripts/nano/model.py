"""The network, in the form that llama.cpp reads: a pixtral tower with its projector, and a llama decoder.

Tower: patches of PATCH by PATCH grey pixels, RMS norms, attention with 2D rotary positions (rows turn the first half of
a head and columns the second, frequencies interleaved, adjacent pairs: ``build_rope_2d`` in llama.cpp's clip.cpp),
SwiGLU. Projector: two layers with GELU. Decoder: the llama architecture, adjacent-pair rotary positions, SwiGLU.

Characters have fixed codes (``codes``): an image token is taught to be the codes of the characters under its patch, one
slot of its dimensions for each. So the decoder can learn from codes alone while the tower learns to make them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from nano.alphabet import BOS, CLASSES, IMAGE_END, VOCABULARY, encode
from nano.raster import PATCH

CODE = 24  # dimensions of one slot
CODE_NORM = 2.0
PLACES = 7  # of codes in the decoder's width: the SLOTS, and four that its first block fills with what stands before
TAGGED, POINTING = 3, 4  # blocks of the decoder that training watches: see losses.py
MEAN, DEVIATION = 0.9, 0.25  # of pixels; paper is near 0 then


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the export writes into the GGUF metadata."""

    width: int = 192
    tower_layers: int = 4
    tower_heads: int = 4
    tower_feed: int = 384
    layers: int = 6
    heads: int = 3
    feed: int = 384
    context: int = 4096
    tower_rope_base: float = 10000.0  # llama.cpp has it fixed
    rope_base: float = 1e12  # most of a head hardly turns over a page, and can match characters anywhere on it
    epsilon: float = 1e-5


def character_codes() -> Tensor:
    """(CLASSES, CODE): a fixed vector a character, spread apart; class 0, no character, is the zero vector."""
    with torch.no_grad(), torch.device("cpu"):  # the same ones for every device
        generator = torch.Generator().manual_seed(7)
        points = functional.normalize(torch.randn(CLASSES - 1, CODE, generator=generator), dim=1)
        for _ in range(300):  # each point away from its near neighbours
            near = torch.exp(6 * (points @ points.T))
            near.fill_diagonal_(0)
            points = functional.normalize(points - 0.1 * (near @ points) / near.sum(1, keepdim=True), dim=1)
    return functional.pad(CODE_NORM * points, (0, 0, 1, 0)).to(torch.get_default_device())


def spare_codes(width: int) -> Tensor:
    """(2, width): what all tokens have, and what image tokens have besides, in the dimensions that hold no character.
    By the first a head can look for places and not for characters."""
    return _spare_codes(width).to(torch.get_default_device())


@cache
def _spare_codes(width: int) -> Tensor:
    with torch.device("cpu"):
        spare = torch.zeros(2, width)
        generator = torch.Generator().manual_seed(8)
        basis, _ = torch.linalg.qr(torch.randn(width - PLACES * CODE, 2, generator=generator))
        spare[:, PLACES * CODE :] = basis.T * torch.tensor([[3.0], [2.0]])
    return spare


def turn(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate adjacent pairs of the last dimension; ``angles`` (positions, half of that dimension)."""
    even, odd = x[..., 0::2], x[..., 1::2]
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)


class Block(nn.Module):
    """Attention and SwiGLU, each after an RMS norm, added to the residual stream."""

    def __init__(self, width: int, heads: int, feed: int, epsilon: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.RMSNorm(width, eps=epsilon)
        self.query, self.key, self.value, self.output = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.feed_norm = nn.RMSNorm(width, eps=epsilon)
        self.gate, self.up = nn.Linear(width, feed, bias=False), nn.Linear(width, feed, bias=False)
        self.down = nn.Linear(feed, width, bias=False)
        for layer in (self.query, self.key, self.value, self.gate, self.up):
            nn.init.normal_(layer.weight, std=1 / math.sqrt(width))
        # A block begins by adding nothing.
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.down.weight)

    def attend(self, x: Tensor, angles: Tensor, layer: nn.Module) -> Tensor:
        """Queries or keys: (batch, heads, length, width of a head)."""
        y = layer(self.attention_norm(x)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return turn(y, angles)

    def forward(self, x: Tensor, angles: Tensor, causal: bool) -> Tensor:
        batch, length, width = x.shape
        y = self.attention_norm(x)
        query, key, value = (
            layer(y).view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        y = functional.scaled_dot_product_attention(turn(query, angles), turn(key, angles), value, is_causal=causal)
        x = x + self.output(y.transpose(1, 2).reshape(batch, length, width))
        y = self.feed_norm(x)
        return x + self.down(functional.silu(self.gate(y)) * self.up(y))


class Tower(nn.Module):
    """Grey pages to image tokens, rows of patches from the top: (batch, height, width) to (batch, patches, width)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.sizes = sizes
        self.patch = nn.Linear(PATCH * PATCH, width)
        self.norm = nn.RMSNorm(width, eps=sizes.epsilon)
        self.blocks = nn.ModuleList(
            Block(width, sizes.tower_heads, sizes.tower_feed, sizes.epsilon) for _ in range(sizes.tower_layers)
        )
        self.hidden, self.token = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def angles(self, rows: int, columns: int) -> Tensor:
        half = self.sizes.width // self.sizes.tower_heads // 2
        frequencies = self.sizes.tower_rope_base ** (-torch.arange(0, half, 2) / half)
        row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        shift = self.sizes.tower_rope_base ** (-1 / half)
        by_row = row.reshape(-1, 1) * frequencies
        by_column = column.reshape(-1, 1) * frequencies * shift
        return torch.cat([by_row, by_column], dim=1)

    def forward(self, pages: Tensor) -> Tensor:
        return self.project(self.see(pages)[1])

    def project(self, x: Tensor) -> Tensor:
        return self.token(functional.gelu(self.hidden(x), approximate="tanh"))

    def see(self, pages: Tensor) -> tuple[Tensor, Tensor]:
        """What comes out of the last block but one, and out of the last."""
        rows, columns = pages.shape[1] // PATCH, pages.shape[2] // PATCH
        x = self.norm(self.patch(patches(pages)))
        angles = self.angles(rows, columns)
        for block in self.blocks[:-1]:
            x = block(x, angles, False)
        return x, self.blocks[-1](x, angles, False)


class Decoder(nn.Module):
    """Image tokens and text to the next byte."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.sizes = sizes
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.image_break = nn.Parameter(torch.randn(width) * 0.1)
        self.blocks = nn.ModuleList(Block(width, sizes.heads, sizes.feed, sizes.epsilon) for _ in range(sizes.layers))
        self.norm = nn.RMSNorm(width, eps=sizes.epsilon)
        self.head = nn.Linear(width, VOCABULARY, bias=False)
        nn.init.normal_(self.embedding.weight, std=0.1)
        nn.init.normal_(self.head.weight, std=0.05)

    def angles(self, length: int) -> Tensor:
        half = self.sizes.width // self.sizes.heads // 2
        return torch.arange(length).unsqueeze(1) * self.sizes.rope_base ** (-torch.arange(half) / half)

    def prompt(self, image: Tensor, rows: int, sheets: int = 1) -> Tensor:
        """The embedded prompt of one document: start, its sheets, newline. A sheet is rows of image tokens with breaks
        between them and an end; ``rows`` are those of all sheets together."""
        batch, count, width = image.shape
        start, end, newline = (
            self.embedding(torch.tensor([BOS, IMAGE_END, *encode("\n")])).expand(batch, 3, width).split(1, dim=1)
        )
        grid = image.view(batch, rows, count // rows, width)
        breaks = self.image_break.expand(batch, sheets, rows // sheets - 1, width)
        edges = torch.cat([breaks, end.unsqueeze(1).expand(batch, sheets, 1, width)], dim=2).view(batch, rows, 1, width)
        return torch.cat([start, torch.cat([grid, edges], dim=2).flatten(1, 2), newline], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Hidden states after the last norm; the head is applied where it is needed."""
        return self.watch(x)[0]

    def watch(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What ``forward`` gives; what comes out of block TAGGED; and what goes into block POINTING."""
        angles = self.angles(x.shape[1])
        seen = []
        for block in self.blocks:
            seen.append(x)
            x = block(x, angles, True)
        return self.norm(x), seen[TAGGED + 1], seen[POINTING]


def patches(pages: Tensor) -> Tensor:
    """(batch, height, width) to (batch, patches, pixels), rows of patches from the top."""
    batch, height, width = pages.shape
    rows, columns = height // PATCH, width // PATCH
    grid = pages.view(batch, rows, PATCH, columns, PATCH).transpose(2, 3)
    return grid.reshape(batch, rows * columns, PATCH * PATCH)


def prepare(pages: Tensor) -> Tensor:
    """Grey bytes to what the tower sees."""
    return (pages.float() / 255 - MEAN) / DEVIATION


def code_of(classes: Tensor, codes: Tensor) -> Tensor:
    """Image tokens as the tower is taught to make them: (..., SLOTS) classes to (..., width of the decoder)."""
    slots = codes[classes].flatten(-2)
    spare = spare_codes(Sizes().width).sum(0)
    return functional.pad(slots, (0, len(spare) - slots.shape[-1])) + spare
