"""What the tower and the decoder are trained for, and how well they do it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from nano.batches import Batch
from nano.model import CODE, Decoder, spare_codes
from nano.raster import SLOTS

FIRST = 3.0
SHARPNESS = 1.5  # of the distances to the codes; codes are some 3 apart


@dataclass(frozen=True, slots=True)
class Outcome:
    """A loss to minimise, and shares of right answers for the log."""

    loss: Tensor
    token_accuracy: float
    value_accuracy: float


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


def answering_loss(decoder: Decoder, image: Tensor, batch: Batch) -> Outcome:
    """Cross-entropy of the tokens that the model chooses. A value counts as right when all of its tokens are.

    The first token of a value says where it stands on the page, which is the hardest part: it weighs FIRST times.
    """
    prompt = decoder.prompt(image, batch.rows)
    x = torch.cat([prompt, decoder.embedding(batch.tokens[:, :-1])], dim=1)
    hidden = decoder(x)[:, prompt.shape[1] - 1 :]
    chosen = batch.learn > 0
    logits = decoder.head(hidden[chosen])
    targets = batch.tokens[chosen]
    right = logits.argmax(-1) == targets
    before = functional.pad(batch.learn, (1, 0))[:, :-1]
    weight = torch.where(batch.learn == before, 1.0, FIRST)[chosen]
    loss = (functional.cross_entropy(logits, targets, reduction="none") * weight).sum() / weight.sum()
    owner = (torch.arange(len(batch.tokens)).unsqueeze(1) * 1000 + batch.learn)[chosen]
    _, value = owner.unique(return_inverse=True)
    wrong = torch.zeros(int(value.max()) + 1).index_add_(0, value, (~right).float())
    return Outcome(loss, right.float().mean().item(), (wrong == 0).float().mean().item())
