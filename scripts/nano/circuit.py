"""What the network begins with instead of chance: heads that look at neighbours, and a way to copy.

Copying is what reading off a page needs, and what takes a small transformer longest to find: the loss stands still
for tens of thousands of pages and then breaks (induction heads; Olsson et al., 2022, https://arxiv.org/abs/2209.11895).
So the first two blocks of the decoder begin with the circuit that training would find, and training goes on from there
with all weights free. Structured starts of this kind: Trockman and Kolter, 2023, https://arxiv.org/abs/2305.09828.

Places in the decoder's width, CODE dimensions each: A, B, C are the slots of an image token; a byte has its character
in C. The first block writes what stands before a token to P0 to P3: for a patch with the characters (A, B) the last
patch's A and B to P0 and P1, and those of the patch before to P3 and P2; for a byte the last three bytes to P1, P2, P3.
In the second block a byte looks for the patch whose text goes on from the last four bytes, once as if its own
character were the first of a patch, once as if it were the second, and brings what follows there to A, where the head
of the network reads the next byte.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from nano.alphabet import GLYPHS
from nano.model import CODE, POINTING, Decoder, Tower, character_codes, spare_codes, turn

A, B, C, P0, P1, P2, P3 = (slice(place * CODE, (place + 1) * CODE) for place in range(7))
SHARPNESS = 0.75  # of looking for places, in each of the fastest frequencies
GAIN = 1.3  # of looking for characters
HALF = CODE // 2  # dimensions in which one character is compared


@torch.no_grad()
def begin_tower(tower: Tower) -> None:
    """Heads that look at the four neighbours of a patch, in all blocks but the last.

    The patch bias gives all tokens a common direction. A head whose queries see it turned by one step against its
    keys attends one step away; the two fastest frequencies of each axis make that sharp.
    """
    width, head = tower.sizes.width, tower.sizes.width // tower.sizes.tower_heads
    common = functional.normalize(torch.randn(width), dim=0)
    tower.patch.bias.copy_(8 * common)
    angles = tower.angles(2, 2)
    steps = (angles[1], -angles[1], angles[2], -angles[2])  # right, left, down, up
    ahead = torch.zeros(head)
    ahead[[0, 2, head // 2, head // 2 + 2]] = SHARPNESS
    for block in tower.blocks[:-1]:
        for index, step in enumerate(steps):
            part = slice(index * head, (index + 1) * head)
            block.key.weight[part] = 0.5 * block.key.weight[part] + torch.outer(ahead, common)
            block.query.weight[part] = 0.5 * block.query.weight[part] + torch.outer(turn(ahead, step), common)


@torch.no_grad()
def begin_decoder(decoder: Decoder) -> None:
    """The copying circuit in the first two blocks; in the others like attends to like."""
    codes = character_codes()
    common, image = spare_codes(decoder.sizes.width)
    decoder.embedding.weight += common
    decoder.image_break += common
    for index, glyph in enumerate(GLYPHS, start=1):
        if len(glyph.encode()) == 1:
            decoder.embedding.weight[ord(glyph), C] += codes[index]
            decoder.head.weight[ord(glyph), A] += codes[index]
    _look_back(decoder, decoder.blocks[0], common / common.norm())
    _find_and_bring(decoder, decoder.blocks[1], common / common.norm(), image / image.norm())
    _bring_what_is_pointed_at(decoder.blocks[POINTING], decoder.sizes.width // decoder.sizes.heads)
    for block in decoder.blocks[2:]:
        weight = block.query.weight - torch.outer(block.query.weight @ common, common) / common.square().sum()
        block.query.weight.copy_(weight)
        block.key.weight.copy_(weight)


def _look_back(decoder: Decoder, block: nn.Module, common: Tensor) -> None:
    """Heads that look one, two and three tokens back and bring the characters that stand there."""
    head = decoder.sizes.width // decoder.sizes.heads
    angles = decoder.angles(4)
    ahead = torch.zeros(head)
    ahead[[0, 2, 4]] = 1.2
    brought = {1: (((A,), P0), ((B, C), P1)), 2: (((A,), P3), ((B, C), P2)), 3: (((C,), P3),)}
    for back, routes in brought.items():
        start = (back - 1) * head
        part = slice(start, start + head)
        block.key.weight[part] = 0.1 * block.key.weight[part] + torch.outer(ahead, common)
        block.query.weight[part] = 0.1 * block.query.weight[part] + torch.outer(turn(ahead, -angles[back]), common)
        block.value.weight[part] *= 0.1
        for index, (sources, target) in enumerate(routes):
            rows = slice(start + index * CODE, start + (index + 1) * CODE)
            for source in sources:
                block.value.weight[rows, source] += 0.5 * torch.eye(CODE)
            block.output.weight[target, rows] += torch.eye(CODE)


def _bring_what_is_pointed_at(block: nn.Module, head: int) -> None:
    """The first head brings the first character of a patch, and so on; losses.py teaches them where to look."""
    for index, source in enumerate((A, B, C)):
        rows = slice(index * head, index * head + CODE)
        block.value.weight[index * head : (index + 1) * head] *= 0.3
        block.value.weight[rows, source] += 0.5 * torch.eye(CODE)
        block.output.weight[A, rows] += torch.eye(CODE)


def _find_and_bring(decoder: Decoder, block: nn.Module, common: Tensor, image: Tensor) -> None:
    """Heads that find where the last four bytes stand on the page, and bring the character after them to A."""
    head = decoder.sizes.width // decoder.sizes.heads
    seen = ((A, P1, P0, P2), (P1, P0, P2, P3))  # the last four characters, latest first, around each patch
    follows = (B, A)
    slow = head - 4 * HALF
    for index, (places, source) in enumerate(zip(seen, follows, strict=True)):
        start = index * head
        part = slice(start, start + head)
        block.key.weight[part] *= 0.1
        block.query.weight[part] *= 0.1
        block.value.weight[part] *= 0.1
        for number, (asked, place) in enumerate(zip((C, P1, P2, P3), places, strict=True)):
            rows = slice(start + slow + number * HALF, start + slow + (number + 1) * HALF)
            basis, _ = torch.linalg.qr(torch.randn(CODE, HALF))
            block.query.weight[rows, asked] += GAIN * basis.T
            block.key.weight[rows, place] += GAIN * basis.T
        last = start + slow - 1  # pages before answers
        block.query.weight[last] += GAIN * common
        block.key.weight[last] += GAIN * image
        rows = slice(start, start + CODE)
        block.value.weight[rows, source] += 0.5 * torch.eye(CODE)
        block.output.weight[A, rows] += torch.eye(CODE)
