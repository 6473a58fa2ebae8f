"""The projector: what it counts, keeps, stops and refuses; on random weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tiny_vision_models import FAMILIES, make_pair

from local_retab.engine.images import ImageChunk, Pixels
from local_retab.engine.img_break import repair
from local_retab.engine.llama import LlamaBackend
from local_retab.engine.vision import DEFAULT_LIMITS, VisionLimits
from local_retab.errors import EngineError, ModelLoadError

FAMILY = {family.name: family for family in FAMILIES}
WIDTH, HEIGHT = 300, 400


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    for name in ("pixtral", "qwen3vl", "gemma3", "idefics3"):
        make_pair(FAMILY[name], folder)
    return folder


@contextmanager
def loaded(
    folder: Path, name: str = "pixtral", *, projector: str | None = None, limits: VisionLimits = DEFAULT_LIMITS
) -> Iterator[LlamaBackend]:
    backend = LlamaBackend(
        folder / f"{name}.gguf",
        context_tokens=2048,
        batch_tokens=64,
        sequences=2,
        threads=1,
        projector=folder / (projector or f"mmproj-{name}.gguf"),
        vision=limits,
    )
    try:
        yield backend
    finally:
        backend.close()


def noise(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    return Pixels(width, height, np.random.default_rng(seed).bytes(width * height * 3))


def chunks(backend: LlamaBackend, pixels: Pixels) -> list[ImageChunk]:
    return [item for item in backend.tokenize_image(pixels) if isinstance(item, ImageChunk)]


def never() -> bool:
    return False


@pytest.mark.parametrize("name", ["pixtral", "qwen3vl", "gemma3", "idefics3"])
def test_counting_needs_the_size_alone(folder: Path, name: str) -> None:
    with loaded(folder, name) as backend:
        items = backend.tokenize_image(noise(1))
        total = sum(1 if isinstance(item, int) else item.tokens for item in items)
        assert backend.image_tokens(WIDTH, HEIGHT) == total
        assert backend.info.vision


def test_an_image_that_must_be_whole_fits_the_batch(folder: Path) -> None:
    with loaded(folder, "gemma3") as backend:
        [chunk] = chunks(backend, noise(1))
        assert chunk.whole
        assert chunk.tokens == 144 <= backend.info.batch_tokens


def test_m_rope_positions_are_a_grid(folder: Path) -> None:
    with loaded(folder, "qwen3vl") as backend:
        [chunk] = chunks(backend, noise(1))
        assert chunk.grid is not None
        time, row, column = chunk.grid
        columns, rows = column.max() + 1, row.max() + 1
        assert chunk.tokens == columns * rows
        assert chunk.positions == max(columns, rows)
        assert not time.any()
        assert row.tolist() == [index // columns for index in range(chunk.tokens)]
        assert column.tolist() == [index % columns for index in range(chunk.tokens)]


def test_limits_of_tokens_reach_the_projector(folder: Path) -> None:
    with loaded(folder) as backend:
        usual = backend.image_tokens(WIDTH, HEIGHT)
    with loaded(folder, limits=VisionLimits(max_tokens=usual // 2)) as backend:
        assert backend.image_tokens(WIDTH, HEIGHT) <= usual // 2 + 40
    with loaded(folder, limits=VisionLimits(min_tokens=2 * usual, max_tokens=4 * usual)) as backend:
        assert backend.image_tokens(WIDTH, HEIGHT) >= 2 * usual


def test_the_limits_belong_to_the_key(folder: Path) -> None:
    keys = set()
    for limits in (DEFAULT_LIMITS, VisionLimits(max_tokens=500)):
        with loaded(folder, limits=limits) as backend:
            keys.update(chunk.key for chunk in chunks(backend, noise(1)))
    assert len(keys) == 2


def test_embeddings_are_kept_and_the_least_recently_used_go_first(folder: Path) -> None:
    with loaded(folder) as backend:
        [chunk] = chunks(backend, noise(1))
        embeddings = backend.encode(chunk, never)
    assert embeddings is not None
    room = VisionLimits(cache_bytes=2 * embeddings.values.nbytes)
    with loaded(folder, limits=room) as backend:

        def fresh(seed: int) -> bool:
            [chunk] = chunks(backend, noise(seed))
            found = backend.encode(chunk, never)
            assert found is not None
            return found.fresh

        assert [fresh(seed) for seed in (1, 2, 1, 3, 1, 2)] == [True, True, False, True, False, True]


def test_without_memory_for_embeddings_each_image_is_encoded_anew(folder: Path) -> None:
    with loaded(folder, limits=VisionLimits(cache_bytes=0)) as backend:
        [chunk] = chunks(backend, noise(1))
        found = [backend.encode(chunk, never) for _ in range(2)]
    assert all(embeddings is not None and embeddings.fresh for embeddings in found)


def test_an_encoding_can_be_stopped_in_its_midst_and_done_again(folder: Path) -> None:
    looks: list[None] = []

    def soon() -> bool:
        looks.append(None)
        return len(looks) > 1

    with loaded(folder) as backend:
        [chunk] = chunks(backend, noise(1))
        expected = backend.encode(chunk, never)
    with loaded(folder) as backend:
        assert backend.encode(chunk, soon) is None
        # Before it began, within it, and after it.
        assert len(looks) == 3
        again = backend.encode(chunk, never)
    assert expected is not None
    assert again is not None
    assert again.fresh
    assert np.array_equal(again.values, expected.values)


def test_an_error_of_whoever_asks_to_stop_is_not_swallowed(folder: Path) -> None:
    asked: list[None] = []

    def broken() -> bool:
        asked.append(None)
        if len(asked) == 2:
            raise KeyError("broken")
        return False

    with loaded(folder) as backend:
        [chunk] = chunks(backend, noise(1))
        with pytest.raises(KeyError, match="broken"):
            backend.encode(chunk, broken)
        assert backend.encode(chunk, never) is not None


def test_break_rows_that_llama_cpp_leaves_undefined_are_set_right(folder: Path) -> None:
    path = folder / "mmproj-pixtral.gguf"
    with loaded(folder) as backend:
        [chunk] = chunks(backend, noise(1))
        embeddings = backend.encode(chunk, never)
    assert embeddings is not None
    clean = embeddings.values
    breaks = np.flatnonzero((clean == clean[19]).all(axis=1))
    assert breaks.tolist() == list(range(19, 499, 20))
    for rows in (breaks, breaks[3:5]):
        dirty = clean.copy()
        dirty[rows, 7:] = np.nan
        repair(dirty, path)
        assert np.array_equal(dirty, clean)
    damaged = np.full_like(clean, np.nan)
    with pytest.raises(EngineError, match="computed NaN"):
        repair(damaged, path)
    with pytest.raises(EngineError, match="computed NaN"):
        repair(damaged[:2], folder / "mmproj-qwen3vl.gguf")


def test_tiles_of_one_image_have_keys_of_their_own(folder: Path) -> None:
    with loaded(folder, "idefics3") as backend:
        found = chunks(backend, Pixels(WIDTH, HEIGHT, bytes(WIDTH * HEIGHT * 3)))
        assert len(found) > 1
        assert len({chunk.key for chunk in found}) == len(found)


def test_a_model_without_a_projector_is_blind(folder: Path) -> None:
    backend = LlamaBackend(folder / "pixtral.gguf", context_tokens=256, batch_tokens=64, sequences=1, threads=1)
    try:
        assert not backend.info.vision
        with pytest.raises(EngineError, match="without a projector"):
            backend.tokenize_image(noise(1))
    finally:
        backend.close()


def refused(folder: Path, projector: str, name: str = "pixtral") -> str:
    with pytest.raises(ModelLoadError) as caught, loaded(folder, name, projector=projector):
        pass
    return caught.value.message


def test_the_projector_of_another_model_is_refused(folder: Path) -> None:
    message = refused(folder, "mmproj-qwen3vl.gguf")
    assert "mismatch between text model" in message
    assert "mmproj" in message


def test_a_language_model_is_no_projector(folder: Path) -> None:
    assert "cannot load this projector" in refused(folder, "pixtral.gguf")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_projector_that_is_cut_off_is_refused(folder: Path, share: float) -> None:
    whole = (folder / "mmproj-pixtral.gguf").read_bytes()
    (folder / "cut.gguf").write_bytes(whole[: int(len(whole) * share)])
    assert "cannot load this projector" in refused(folder, "cut.gguf")


def test_a_stop_token_that_the_model_lacks_is_refused(folder: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"stop token '<\|nothing\|>'"):
        LlamaBackend(
            folder / "pixtral.gguf", context_tokens=256, batch_tokens=64, sequences=1, threads=1, stop=["<|nothing|>"]
        )
    backend = LlamaBackend(
        folder / "pixtral.gguf", context_tokens=256, batch_tokens=64, sequences=1, threads=1, stop=["[IMG_END]"]
    )
    try:
        [token] = backend.tokenize("[IMG_END]", special=True)
        assert token in backend.info.end_tokens
    finally:
        backend.close()
