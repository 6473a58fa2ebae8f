"""What the tower and the decoder are trained for, and how well they do it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from nano.batches import LESSONS, UNKNOWN, Batch
from nano.model import CODE, POINTING, Decoder, spare_codes
from nano.raster import SLOTS

ENDS = (ord(","), ord("}"))
HARD = 3.0  # weight of the tokens that say where a value is
TAGGING, AIMING = 1.0, 1.0  # weights of the lessons on the way
SHARPNESS = 1.5  # of the distances to the codes; codes are some 3 apart


@dataclass(frozen=True, slots=True)
class Outcome:
    """A loss to minimise, and shares of right answers for the log."""

    loss: Tensor
    token_accuracy: float
    value_accuracy: float
    tag_accuracy: float = 0.0
    aim_accuracy: float = 0.0


def reading_loss(image: Tensor, classes: Tensor, codes: Tensor) -> Outcome:
    """Each slot of an image token is to be nearest to the code of its character, and near it; the spare
    dimensions are the same for all.

    Accuracies are of slots that hold a character, and of patches that hold one.
    """
    slots = image[..., : SLOTS * CODE].unflatten(-1, (SLOTS, CODE))
    distances = slots.square().sum(-1, keepdim=True) - 2 * slots @ codes.T + codes.square().sum(-1)
    logits = -SHARPNESS * distances
    weight = torch.where(classes.any(-1, keepdim=True), 1.0, 0.15).expand_as(classes)
    entropy = functional.cross_entropy(logits.flatten(0, 2), classes.flatten(), reduction="none")
    loss = (entropy * weight.flatten()).sum() / weight.sum()
    near = ((slots - codes[classes]).square().sum(-1) * weight).sum() / weight.sum()
    spare = (image - spare_codes(image.shape[-1]).sum(0))[..., SLOTS * CODE :].square().mean()
    right = logits.argmax(-1) == classes
    full = classes > 0
    patches = full.any(-1)
    return Outcome(
        loss + 0.05 * near + 0.1 * spare,
        (right & full).sum().item() / max(1, full.sum().item()),
        (right.all(-1) & patches).sum().item() / max(1, patches.sum().item()),
    )


def strip_loss(logits: Tensor, strips: Tensor) -> Outcome:
    """Each strip of a patch is to name the character whose centre lies in it, or none."""
    weight = torch.where(strips.any(-1, keepdim=True), 1.0, 0.15).expand_as(strips).flatten()
    entropy = functional.cross_entropy(logits.flatten(0, 2), strips.flatten(), reduction="none")
    full = strips > 0
    right = ((logits.argmax(-1) == strips) & full).sum().item() / max(1, full.sum().item())
    return Outcome((entropy * weight).sum() / weight.sum(), right, right)


def answering_loss(decoder: Decoder, tagger: nn.Module, image: Tensor, batch: Batch) -> Outcome:
    """Cross-entropy of the tokens that the model chooses, and two lessons on the way that need no word of an answer.

    In the middle of the decoder each patch of the page and each token of the answer is to know which value it belongs
    to and how far into it (``tagger`` names both), and one block later three heads are to look at the patch where the
    next character is printed: the first head where it is the first character of that patch, the second the second, the
    third the third; and at the start of the prompt otherwise. A value counts as right when all of its tokens are.
    """
    prompt = decoder.prompt(image, batch.rows, batch.sheets)
    before = prompt.shape[1] - 1  # tokens before the one that chooses the first token of the answer
    x = torch.cat([prompt, decoder.embedding(batch.tokens[:, :-1])], dim=1)
    hidden, middle, pointing = decoder.watch(x)
    chosen = batch.learn > 0
    logits = functional.log_softmax(decoder.head(hidden[:, before:][chosen]), dim=-1)
    targets, ends = batch.tokens[chosen], batch.ends[chosen]
    entropy = -logits.gather(1, targets.unsqueeze(1)).squeeze(1)
    either = -0.5 * logits[:, ENDS].sum(-1) - math.log(2)  # the grammar knows which
    right = logits.argmax(-1)
    right = torch.where(ends, torch.isin(right, torch.tensor(ENDS)), right == targets)
    weight = torch.where(hard(batch)[chosen], HARD, 1.0)
    loss = (torch.where(ends, either, entropy) * weight).sum() / weight.sum()
    owner = (torch.arange(len(batch.tokens)).unsqueeze(1) * 1000 + batch.learn)[chosen]
    _, value = owner.unique(return_inverse=True)
    wrong = torch.zeros(int(value.max()) + 1).index_add_(0, value, (~right).float())
    tagging, tagged = _tagging_loss(tagger, middle, batch)
    aiming, aimed = _aiming_loss(decoder, pointing, batch)
    return Outcome(
        loss + TAGGING * tagging + AIMING * aiming,
        right.float().mean().item(),
        (wrong == 0).float().mean().item(),
        tagged,
        aimed,
    )


def hard(batch: Batch) -> Tensor:
    """Tokens that no token before them helps to choose: the first of a value, and that there is none."""
    return (batch.asked[..., 2] > 0) & (batch.asked[..., 2] <= 2)


def _tagging_loss(tagger: nn.Module, middle: Tensor, batch: Batch) -> tuple[Tensor, float]:
    """Accuracy is of the patches that show a value and of tokens, in all lessons."""
    names = tagger(functional.rms_norm(middle, middle.shape[-1:]))
    patches, length = batch.tags.shape[1], batch.tokens.shape[1]
    columns = patches // batch.rows
    place = torch.arange(patches)
    shown = names[:, 1 + place // columns * (columns + 1) + place % columns].flatten(0, 1)
    asked = batch.asked[..., 0] > UNKNOWN
    guesses = torch.cat([shown, names[:, -length:][asked]])
    truths = torch.cat([batch.tags.flatten(0, 1), batch.asked[asked]])
    weight = torch.ones(len(truths))
    weight[: shown.shape[0]] = torch.where(truths[: shown.shape[0], 0] > 0, 1.0, 0.2)
    total, right = torch.zeros(()), torch.ones(len(truths), dtype=torch.bool)
    for guess, truth in zip(guesses.split(LESSONS, dim=1), truths.unbind(1), strict=True):
        entropy = functional.cross_entropy(guess, truth, reduction="none")
        total = total + (entropy * weight).sum() / weight.sum()
        right &= guess.argmax(-1) == truth
    return total, right[weight == 1].float().mean().item()


def _aiming_loss(decoder: Decoder, pointing: Tensor, batch: Batch) -> tuple[Tensor, float]:
    """Accuracy is of the tokens whose three heads all look where they should."""
    block = decoder.blocks[POINTING]
    angles = decoder.angles(pointing.shape[1])
    keys = block.attend(pointing, angles, block.key)[:, :SLOTS]
    length = batch.tokens.shape[1]
    queries = block.attend(pointing[:, -length:], angles[-length:], block.query)[:, :SLOTS]
    scores = queries @ keys.transpose(2, 3) / math.sqrt(queries.shape[-1])
    later = torch.ones(length, pointing.shape[1], dtype=torch.bool).triu(pointing.shape[1] - length + 1)
    scores = scores.masked_fill(later, -torch.inf)
    columns = batch.tags.shape[1] // batch.rows
    seen = 1 + batch.aims // columns * (columns + 1) + batch.aims % columns
    taught = batch.aims > UNKNOWN
    guesses, truth = [], []
    for slot in range(SLOTS):
        here = (batch.aims >= 0) & (batch.slots == slot)
        guesses.append(scores[:, slot][taught])
        truth.append(torch.where(here, seen, 0)[taught])
    weight = torch.where(hard(batch)[taught], HARD, 1.0).repeat(SLOTS)
    entropy = functional.cross_entropy(torch.cat(guesses), torch.cat(truth), reduction="none")
    loss = (entropy * weight).sum() / weight.sum()
    right = torch.stack([guess.argmax(-1) == true for guess, true in zip(guesses, truth, strict=True)])
    return loss, right.all(0).float().mean().item()
