"""The network of the small model. PyTorch is an extra for training, so these run only where it is installed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import reportlab

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from nano.alphabet import CLASS_OF, CLASSES, encode  # noqa: E402
from nano.batches import LESSONS, LEVELS, READING, make_batch  # noqa: E402
from nano.circuit import begin_decoder, begin_tower  # noqa: E402
from nano.feed import Feed  # noqa: E402
from nano.fonts import Faces  # noqa: E402
from nano.losses import answering_loss, reading_loss  # noqa: E402
from nano.model import Decoder, Sizes, Tower, character_codes, code_of, patches, prepare  # noqa: E402
from nano.muon import Optimisers, orthogonalise  # noqa: E402
from nano.raster import SLOTS  # noqa: E402
from nano.stage import Plan, Stage  # noqa: E402


@pytest.fixture(scope="module")
def faces() -> Faces:
    folder = Path(reportlab.__file__).parent / "fonts"
    found = Faces([folder / "Vera.ttf"])
    found.cells = [found.face(folder / "Vera.ttf", 13)]
    return found


def test_codes_of_characters_are_apart() -> None:
    codes = character_codes()
    assert codes.shape[0] == CLASSES
    assert not codes[0].any()
    assert torch.pdist(codes).min() > 1


def test_patches_are_rows_from_the_top() -> None:
    page = torch.arange(32 * 48).view(1, 32, 48)
    cut = patches(page)
    assert cut.shape == (1, 6, 256)
    assert torch.equal(cut[0, 4].view(16, 16), page[0, 16:, 16:32])


def test_the_decoder_copies_before_it_is_trained() -> None:
    torch.manual_seed(1)
    decoder, codes = Decoder(Sizes()), character_codes()
    begin_decoder(decoder)
    text = "Order JX-48213 of 7 May"
    classes = torch.zeros(1, 24, SLOTS, dtype=torch.long)
    for index, char in enumerate(text):
        classes[0, index // 2, index % 2] = CLASS_OF[char]
    start = decoder.prompt(code_of(classes, codes), rows=2)
    with torch.no_grad():
        x = torch.cat([start, decoder.embedding(torch.tensor([encode("JX-48")]))], dim=1)
        assert chr(int(decoder.head(decoder(x)[0, -1]).argmax())) == "2"


def test_both_losses_fall_in_a_few_steps(faces: Faces) -> None:
    torch.manual_seed(1)
    tower, decoder, codes = Tower(Sizes()), Decoder(Sizes()), character_codes()
    begin_tower(tower)
    begin_decoder(decoder)
    tagger = torch.nn.Linear(decoder.sizes.width, sum(LESSONS))
    optimisers = Optimisers([tower, decoder, tagger], matrix_rate=0.01, rate=0.002)
    read = make_batch(faces, random.Random(1), READING[0], 150, pixels=True, questions=False)
    asked = make_batch(faces, random.Random(2), LEVELS[0], 150, pixels=False, questions=True)
    losses = []
    for _ in range(4):
        assert read.pixels is not None
        seen = reading_loss(tower(prepare(read.pixels)), read.classes, codes)
        answered = answering_loss(decoder, tagger, code_of(asked.classes, codes), asked)
        (seen.loss + answered.loss).backward()
        optimisers.step(1.0)
        losses.append((seen.loss.item(), answered.loss.item()))
    assert losses[-1][0] < 0.9 * losses[0][0]
    assert losses[-1][1] < 0.9 * losses[0][1]


def test_updates_are_orthogonal() -> None:
    update = orthogonalise(torch.randn(40, 24, generator=torch.Generator().manual_seed(1)))
    singular = torch.linalg.svdvals(update)
    assert singular.min() > 0.6
    assert singular.max() < 1.3


def test_batches_are_those_of_their_steps_whoever_makes_them(faces: Faces) -> None:
    feed = Feed("seed", lambda rng, level: make_batch(faces, rng, LEVELS[level], 300, pixels=False, questions=True))
    alone = list(feed.batches(2, 5, workers=0))
    assert len(alone) == 3
    for mine, others in zip(alone, feed.batches(2, 5, workers=2), strict=True):
        assert torch.equal(mine.tokens, others.tokens)
    feed.level = 1
    assert not torch.equal(feed[2].tokens, alone[0].tokens)


def test_the_rate_rises_and_falls_to_nothing_by_whichever_limit_comes_first() -> None:
    plan = Plan(steps=1000, seconds=100, decay=0.5, rate=0.01, device="cpu", workers=0)
    assert plan.factor(29, 1) == 0.5
    assert plan.factor(100, 10) == 1
    assert plan.factor(750, 10) == pytest.approx(0.5)
    assert plan.factor(100, 75) == pytest.approx(0.5)
    assert plan.factor(100, 101) == 0


def test_a_stage_goes_on_from_its_checkpoint(faces: Faces, tmp_path: Path) -> None:
    def stage(steps: int) -> Stage:
        torch.manual_seed(1)
        tower = Tower(Sizes())
        plan = Plan(steps, seconds=0, decay=0.5, rate=0.01, device="cpu", workers=0)
        made = Stage("read", tmp_path, 1, {"tower": tower}, plan)
        codes = character_codes()
        made.run(
            lambda rng, level: make_batch(faces, rng, READING[0], 100, pixels=True, questions=False),
            lambda batch, rng: reading_loss(tower(prepare(batch.pixels)), batch.classes, codes),
        )
        return made

    first = stage(2)
    again = stage(3)
    assert (first.step, again.step) == (2, 3)
    assert again.pages > first.pages
    weight = again.modules["tower"].state_dict()["patch.weight"]
    assert not torch.equal(weight, first.modules["tower"].state_dict()["patch.weight"])
