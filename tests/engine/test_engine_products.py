"""Our own products of weights and attention: against the weights spelled out, and attention as it is defined."""

from __future__ import annotations

import ctypes

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from hypothesis import given, settings
from hypothesis import strategies as st

from local_retab.engine.kernels import Kernels

ROWS, BLOCK, GRAIN = 16, 256, 16
TYPES = {Type.Q4_K: 0, Type.Q5_K: 1, Type.Q6_K: 2}
HALVES = {Type.Q4_K: (0, 2), Type.Q5_K: (0, 2), Type.Q6_K: (208,)}
"""Where a block has its scales of 16 bits."""


def _pointer(array: np.ndarray | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if array is None else array.ctypes.data)


def products(found: Kernels, kind: Type, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Shape (columns, 16)."""
    function = found.library["local_retab_products"]
    function.restype = ctypes.c_bool
    result = np.zeros((len(columns), ROWS), np.float32)
    blocks = ctypes.c_int(columns.shape[1] // BLOCK)
    assert function(
        ctypes.c_int(TYPES[kind]), _pointer(rows), blocks, _pointer(columns), ctypes.c_int(len(columns)),
        _pointer(result),
    )  # fmt: skip
    return result


def random_rows(rng: np.random.Generator, kind: Type, blocks: int) -> np.ndarray:
    """Any bytes are weights, but for the scales of 16 bits, which must be finite."""
    size = gguf.GGML_QUANT_SIZES[kind][1]
    rows = rng.integers(0, 256, (ROWS, blocks, size), np.uint8)
    for place in HALVES[kind]:
        scales = rng.standard_normal((ROWS, blocks)).astype(np.float16)
        rows[:, :, place : place + 2] = scales[:, :, None].view(np.uint8)
    return rows


def expected(kind: Type, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The products with the columns rounded to eight bits by blocks, and the sums of their parts' sizes."""
    weights = gguf.quants.dequantize(rows.reshape(ROWS, -1), kind).astype(np.float64)
    parts = columns.reshape(len(columns), -1, BLOCK)
    most = np.abs(parts).max(axis=2, keepdims=True)
    inverse = np.divide(np.float32(127), most, out=np.zeros_like(most), where=most > 0)
    rounded = (np.rint(parts * inverse) * (most.astype(np.float64) / 127)).reshape(columns.shape)
    return rounded @ weights.T, np.abs(rounded) @ np.abs(weights).T


@pytest.mark.parametrize("kind", TYPES)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), blocks=st.integers(1, 5), count=st.integers(1, 27))
def test_products_are_those_of_the_weights(library: Kernels, kind: Type, seed: int, blocks: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, kind, blocks)
    columns = (rng.standard_normal((count, blocks * BLOCK)) * 10 ** rng.uniform(-4, 4)).astype(np.float32)
    found = products(library, kind, rows, columns)
    right, size = expected(kind, rows, columns)
    assert np.all(np.abs(found - right) <= 2e-5 * size + 1e-30)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("byte", [0x00, 0x7F, 0x80, 0xFF])
@pytest.mark.parametrize("sign", [-1.0, 0.0, 1.0])
def test_the_largest_values_overflow_nothing(library: Kernels, kind: Type, byte: int, sign: float) -> None:
    rows = np.full((ROWS, 2, gguf.GGML_QUANT_SIZES[kind][1]), byte, np.uint8)
    for place in HALVES[kind]:
        rows[:, :, place : place + 2] = np.array([1.0], np.float16).view(np.uint8)
    columns = np.full((3, 2 * BLOCK), sign, np.float32)
    found = products(library, kind, rows, columns)
    right, size = expected(kind, rows, columns)
    assert np.all(np.abs(found - right) <= 2e-5 * size)


def attention(
    found: Kernels, queries: np.ndarray, keys: np.ndarray, values: np.ndarray, mask: np.ndarray | None, scale: float
) -> np.ndarray:
    """Queries, result: shape (tokens, group, width). Keys, values: (cells, width). The mask: (tokens, cells)."""
    tokens, group, width = queries.shape
    result = np.full_like(queries, np.nan)
    sizes = [ctypes.c_int(size) for size in (tokens, group, len(keys), width)]
    found.library["local_retab_attention"](
        _pointer(queries), _pointer(keys), _pointer(values), _pointer(mask), _pointer(result), *sizes,
        ctypes.c_float(scale),
    )  # fmt: skip
    return result


@pytest.mark.parametrize("width", [64, 128])
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    tokens=st.integers(1, 13),
    group=st.integers(1, 9),
    grains=st.integers(1, 13),
    masked=st.booleans(),
    size=st.floats(-3, 2),
)
def test_attention_is_that_of_its_definition(
    library: Kernels, width: int, seed: int, tokens: int, group: int, grains: int, masked: bool, size: float
) -> None:
    rng = np.random.default_rng(seed)
    cells = GRAIN * grains
    queries = (rng.standard_normal((tokens, group, width)) * 10**size).astype(np.float32)
    keys, values = rng.standard_normal((2, cells, width)).astype(np.float16)
    mask = None
    if masked:
        # Some see nothing at all, some cells come with a bias.
        hidden = rng.random((tokens, cells)) < rng.random((tokens, 1)) * 1.3
        mask = np.where(hidden, -np.inf, rng.choice([0, 0, -1.5], (tokens, cells))).astype(np.float16)
    found = attention(library, queries, keys, values, mask, 0.125)
    scores = np.einsum("tgw,cw->tgc", queries.astype(np.float64) * 0.125, keys.astype(np.float64))
    if mask is not None:
        scores += mask.astype(np.float64)[:, None, :]
    greatest = scores.max(axis=2, keepdims=True)
    shares = np.exp(scores - np.where(np.isinf(greatest), 0, greatest))
    sums = shares.sum(axis=2, keepdims=True)
    right = np.divide(shares, sums, out=np.zeros_like(shares), where=sums > 0) @ values.astype(np.float64)
    # A score is as exact as floats of its size are, and a share as its score.
    finest = np.abs(queries).sum(axis=2, keepdims=True).max() * 1e-7 * 4 + 1e-6
    assert np.abs(found - right).max() <= finest * np.abs(values).max() * 2
