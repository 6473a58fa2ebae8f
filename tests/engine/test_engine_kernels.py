"""Our own kernels in a model, against llama.cpp's own."""

from __future__ import annotations

import ctypes
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import build_kernels
import gguf
import llama_cpp
import numpy as np
import pytest
import tiny_vision_models as tiny
from gguf import GGMLQuantizationType as Type

from local_retab.engine import kernels as kernels_module
from local_retab.engine.backend import BatchToken
from local_retab.engine.kernels import Kernels, attends, overrides
from local_retab.engine.llama import LlamaBackend
from local_retab.errors import ModelLoadError

BLOCK = 256
Language = Callable[[np.random.Generator, int], tuple[str, tiny.Values, tiny.Tensors]]


def gemma2(rng: np.random.Generator, vocabulary: int) -> tuple[str, tiny.Values, tiny.Tensors]:
    """Scores and logits are capped, layers take turns with a sliding window."""
    _, _, tensors = tiny.gemma3(rng, vocabulary)
    tensors = {
        name: tensor
        for name, tensor in tensors.items()
        if name != "output.weight" and not name.endswith(("attn_q_norm.weight", "attn_k_norm.weight"))
    }
    return "gemma2", tiny.decoder_values("gemma2", **{"attention.sliding_window": 64}), tensors


def llama_like(arch: str, **more: Any) -> Language:
    def language(rng: np.random.Generator, vocabulary: int) -> tuple[str, tiny.Values, tiny.Tensors]:
        head_norms = arch.startswith("qwen3")
        return (
            arch,
            tiny.decoder_values(arch, vocab_size=vocabulary, **more),
            tiny.decoder(rng, vocabulary, head_norms=head_norms),
        )

    return language


def phi3(rng: np.random.Generator, vocabulary: int) -> tuple[str, tiny.Values, tiny.Tensors]:
    """Queries, keys and values in one matrix, and the two halves of the feed-forward in another."""
    tensors = tiny.decoder(rng, vocabulary)
    for layer in range(tiny.LAYERS):
        block = f"blk.{layer}"
        joined = [tensors.pop(f"{block}.attn_{part}.weight") for part in "qkv"]
        tensors[f"{block}.attn_qkv.weight"] = np.concatenate(joined)
        halves = [tensors.pop(f"{block}.ffn_{part}.weight") for part in ("gate", "up")]
        tensors[f"{block}.ffn_up.weight"] = np.concatenate(halves)
    return "phi3", tiny.decoder_values("phi3", vocab_size=vocabulary), tensors


LANGUAGES: dict[str, Language] = {
    "gemma2": gemma2,
    "gemma3": tiny.gemma3,
    "granite": llama_like("granite", **{"attention.scale": 0.1, "embedding_scale": 2.0, "logit_scale": 2.0}),
    "llama": tiny.llama,
    "mistral3": llama_like("mistral3"),
    "phi3": phi3,
    "qwen2": tiny.qwen2,
    "qwen2vl": tiny.qwen2vl,
    "qwen3": llama_like("qwen3"),
    "qwen3vl": tiny.qwen3vl,
    "smollm3": llama_like("smollm3"),
}
SIZES = {"WIDTH": 512, "KV_HEADS": 2, "FEED": 768}


def make(folder: Path, language: Language, head: int) -> Path:
    """A random model of weights in each of the types, wide enough for their blocks."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SIZES, "HEADS": 512 // head, "HEAD": head}.items():
            patch.setattr(tiny, name, value)
        arch, values, tensors = language(np.random.default_rng(7), 272)
        control = tuple(f"<|{index}|>" for index in range(15))
        path = folder / "mixed.gguf"
        write_quantised(path, arch, values | tiny.tokenizer(control), tensors)
    return path


@pytest.fixture(scope="module", params=[128, 64])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By the width of a head."""
    return make(tmp_path_factory.mktemp("kernels"), tiny.qwen2, request.param)


def write_quantised(path: Path, arch: str, values: tiny.Values, tensors: tiny.Tensors) -> None:
    """``ffn_down`` in Q6_K, ``attn_v`` in Q5_K, ``attn_k`` as floats, the other matrices in Q4_K."""
    kinds = {
        name: Type.Q6_K if "ffn_down" in name else Type.Q5_K if "attn_v" in name else Type.Q4_K
        for name, tensor in tensors.items()
        if tensor.ndim == 2 and "attn_k" not in name
    }
    held = {name: quantised(tensor, kinds[name]) if name in kinds else tensor for name, tensor in tensors.items()}
    tiny.write(path, arch, values, held, kinds)


def quantised(tensor: np.ndarray, kind: Type) -> np.ndarray:
    """By llama.cpp, as gguf's own package only reads these types."""
    rows, columns = tensor.shape
    size = gguf.GGML_QUANT_SIZES[kind][1] * columns // BLOCK
    target, source = np.zeros((rows, size), np.uint8), np.ascontiguousarray(tensor, np.float32)
    function = llama_cpp.llama_cpp._lib["ggml_quantize_chunk"]
    function.restype = ctypes.c_size_t
    whole = ctypes.c_int64
    written = function(
        ctypes.c_int(kind), ctypes.c_void_p(source.ctypes.data), ctypes.c_void_p(target.ctypes.data), whole(0),
        whole(rows), whole(columns), None,
    )  # fmt: skip
    assert written == target.nbytes
    return target


def rows_of_logits(backend: LlamaBackend, calls: list[int]) -> np.ndarray:
    """Of the last token of each call; every third call is of a second sequence, which must not see the first."""
    places, found = [0, 0], []
    for number, size in enumerate(calls):
        sequence = number % 3 // 2
        first = places[sequence]
        tokens = [
            BatchToken((7 * (first + index) + number) % 256, first + index, sequence, index == size - 1)
            for index in range(size)
        ]
        backend.decode(tokens)
        found.append(backend.logits(size - 1).copy())
        places[sequence] += size
    return np.array(found)


def attended(found: Kernels) -> int:
    function = found.library["local_retab_attended"]
    function.restype = ctypes.c_int64
    return int(function())


CALLS = [1, 2, 3, 8, 17, 33, 128, 5, 1, 64, 1, 12]


def both(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, threads: int, fused: bool
) -> tuple[np.ndarray, np.ndarray, str]:
    """The logits of CALLS by our kernels and without them, and which kernels were used."""

    def run() -> tuple[np.ndarray, str]:
        opened = LlamaBackend(
            path, context_tokens=512, batch_tokens=128, sequences=2, threads=threads, flash_attention=fused
        )
        with closing(opened) as backend:
            return rows_of_logits(backend, CALLS), backend.info.kernels

    own, name = run()
    monkeypatch.setattr("local_retab.engine.llama.overrides", lambda path: None)
    theirs, none = run()
    assert none == ""
    return own, theirs, name


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_model_computes_what_llama_cpp_computes(
    library: Kernels, model: Path, fused: bool, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = attended(library)
    own, theirs, name = both(model, monkeypatch, threads=threads, fused=fused)
    layers = len(CALLS) * tiny.LAYERS
    assert attended(library) - before == (layers if fused else 0)
    assert name == library.name
    assert np.abs(own - theirs).max() < 0.03 * np.abs(theirs).max()
    assert not np.array_equal(own, theirs)


@pytest.mark.parametrize("arch", sorted(LANGUAGES))
def test_every_architecture_that_is_taken(
    library: Kernels, arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, theirs, name = both(make(tmp_path, LANGUAGES[arch], 128), monkeypatch, threads=2, fused=True)
    assert name == library.name
    assert np.abs(own - theirs).max() < 0.03 * np.abs(theirs).max()
    assert sorted(LANGUAGES) == sorted(kernels_module.ARCHITECTURES)


def test_the_fused_attention_is_asked_for_where_it_is_ours(
    library: Kernels, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert attends(model)
    monkeypatch.setattr(kernels_module, "HEADS", (80,))
    assert not attends(model)
    monkeypatch.setattr(kernels_module, "_loaded", [None])
    assert not attends(model)


@pytest.mark.parametrize("present", [False, True])
def test_a_backend_rests_as_long_as_it_is_told(
    library: Kernels, model: Path, present: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels_module, "_loaded", [library if present else None])
    with closing(LlamaBackend(model, context_tokens=64, batch_tokens=16, sequences=1, threads=2)) as backend:
        started = time.perf_counter()
        backend.rest(0.002)
        assert time.perf_counter() - started >= 0.002


def test_weights_of_other_types_or_names_stay_where_they_are(library: Kernels, model: Path) -> None:
    array = overrides(model)
    names = array[0].pattern.decode()
    assert array[0].buffer_type == library.buffer_type
    assert names.count(r"\.attn_q\.") == 2
    assert names.count(r"\.ffn_down\.") == 2
    assert "attn_k" not in names
    assert "token_embd" not in names
    assert array[1].pattern is None


@pytest.mark.smol
def test_models_without_such_weights_are_left_to_llama_cpp(library: Kernels, smol: Path) -> None:
    assert overrides(smol) is None


def test_an_unknown_architecture_is_left_to_llama_cpp(
    library: Kernels, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels_module, "ARCHITECTURES", frozenset({"llama"}))
    assert overrides(model) is None


def test_a_broken_file_is_llama_cpps_to_refuse(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(60))
    assert overrides(broken) is None
    with pytest.raises(ModelLoadError, match=r"broken\.gguf"):
        LlamaBackend(broken, context_tokens=64, batch_tokens=16, sequences=1, threads=1)


def test_without_the_library_llama_cpp_computes_all(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels_module, "_loaded", [])
    monkeypatch.setattr(kernels_module, "LIBRARY", tmp_path / "kernels.so")
    with closing(LlamaBackend(model, context_tokens=64, batch_tokens=16, sequences=1, threads=1)) as backend:
        assert backend.info.kernels == ""


def test_another_ggml_is_refused(library: Kernels) -> None:
    other = ctypes.create_string_buffer(b"OTHER")
    name = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int)(lambda operation: ctypes.addressof(other))
    size = ctypes.CFUNCTYPE(ctypes.c_size_t)(lambda: 368)
    host = (ctypes.c_void_p * 9)(ctypes.cast(size, ctypes.c_void_p).value, ctypes.cast(name, ctypes.c_void_p).value)
    backend = library.library["local_retab_backend"]
    backend.restype = ctypes.c_void_p
    assert backend(host) is None


def test_the_build_says_why_there_is_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_kernels.shutil, "which", lambda name: None)
    monkeypatch.delenv("CC", raising=False)
    if sys.platform == "linux":
        assert build_kernels.build(tmp_path) == "there is no C compiler"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "darwin" in (build_kernels.build(tmp_path) or "")


@pytest.mark.skipif(sys.platform != "linux", reason="built on Linux alone")
def test_the_build_makes_the_library_or_shows_the_compilers_words(library: Kernels, tmp_path: Path) -> None:
    native = tmp_path / build_kernels.NATIVE
    shutil.copytree(kernels_module.LIBRARY.parent, native, ignore=shutil.ignore_patterns("*.so"))
    assert build_kernels.build(tmp_path) is None
    assert (tmp_path / build_kernels.LIBRARY).stat().st_size > 10_000
    (native / "interleave.c").write_text("not C")
    assert "interleave.c" in (build_kernels.build(tmp_path) or "")
