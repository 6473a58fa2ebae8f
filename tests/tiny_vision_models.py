"""Vision models of random weights, one for each family: a GGUF language model and its mmproj, a few hundred kB.

They say nothing, but llama.cpp computes them as it computes the real ones: same graphs, positions, tiles and masks.
Names and shapes of tensors: ``convert_hf_to_gguf.py``, ``clip.cpp`` and ``src/models`` of llama.cpp.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gguf
import numpy as np

WIDTH, HEADS, KV_HEADS, HEAD, FEED, LAYERS = 64, 4, 2, 16, 128, 2
"""The language model: embedding width, heads, key-value heads, head width, feed-forward width, layers."""
EYE, EYE_HEADS, EYE_FEED, EYE_LAYERS = 32, 2, 64, 2
"""The vision tower."""

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}"
    "{% else %}{% for part in message.content %}{{ part.text }}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

Values = dict[str, Any]
Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Family:
    """How a family's pair is made. ``images`` are sizes (width, height) that its tests should read."""

    name: str
    language: Callable[[np.random.Generator, int], tuple[str, Values, Tensors]]
    vision: Callable[[np.random.Generator], tuple[Values, Tensors]]
    control: tuple[str, ...]
    images: tuple[tuple[int, int], ...]
    languages: Values = field(default_factory=dict)


def matrix(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    return (rng.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)


def vector(rng: np.random.Generator, size: int, around: float = 0.0) -> np.ndarray:
    return (around + 0.1 * rng.standard_normal(size)).astype(np.float32)


def norm(rng: np.random.Generator, name: str, size: int, *, bias: bool = False) -> Tensors:
    tensors = {f"{name}.weight": vector(rng, size, 1.0)}
    return tensors | {f"{name}.bias": vector(rng, size)} if bias else tensors


def linear(rng: np.random.Generator, name: str, out: int, inside: int, *, bias: bool = False) -> Tensors:
    tensors = {f"{name}.weight": matrix(rng, out, inside)}
    return tensors | {f"{name}.bias": vector(rng, out)} if bias else tensors


def decoder(rng: np.random.Generator, vocabulary: int, *, bias: bool = False, head_norms: bool = False) -> Tensors:
    """A Llama-like decoder; ``bias`` on queries, keys and values (Qwen2), norms on heads (Qwen3, Gemma3)."""
    tensors: Tensors = {
        "token_embd.weight": rng.standard_normal((vocabulary, WIDTH)).astype(np.float32),
        **norm(rng, "output_norm", WIDTH),
        **linear(rng, "output", vocabulary, WIDTH),
    }
    # Bytes alone are said, so that no answer ends early.
    tensors["output.weight"][256:] = 0
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        tensors |= {
            **norm(rng, f"{block}.attn_norm", WIDTH),
            **linear(rng, f"{block}.attn_q", HEADS * HEAD, WIDTH, bias=bias),
            **linear(rng, f"{block}.attn_k", KV_HEADS * HEAD, WIDTH, bias=bias),
            **linear(rng, f"{block}.attn_v", KV_HEADS * HEAD, WIDTH, bias=bias),
            # Three times the usual size: what is seen must weigh on what is said.
            f"{block}.attn_output.weight": 3 * matrix(rng, WIDTH, HEADS * HEAD),
            **norm(rng, f"{block}.ffn_norm", WIDTH),
            **linear(rng, f"{block}.ffn_gate", FEED, WIDTH),
            **linear(rng, f"{block}.ffn_up", FEED, WIDTH),
            **linear(rng, f"{block}.ffn_down", WIDTH, FEED),
        }
        if head_norms:
            tensors |= norm(rng, f"{block}.attn_q_norm", HEAD) | norm(rng, f"{block}.attn_k_norm", HEAD)
    return tensors


def decoder_values(arch: str, **more: Any) -> Values:
    values = {
        "context_length": 4096,
        "embedding_length": WIDTH,
        "block_count": LAYERS,
        "feed_forward_length": FEED,
        "attention.head_count": HEADS,
        "attention.head_count_kv": KV_HEADS,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "attention.key_length": HEAD,
        "attention.value_length": HEAD,
        "rope.dimension_count": HEAD,
        "rope.freq_base": 10000.0,
        **more,
    }
    return {f"{arch}.{name}": value for name, value in values.items()}


def llama(rng: np.random.Generator, vocabulary: int) -> tuple[str, Values, Tensors]:
    return "llama", decoder_values("llama", vocab_size=vocabulary), decoder(rng, vocabulary)


def qwen2(rng: np.random.Generator, vocabulary: int) -> tuple[str, Values, Tensors]:
    return "qwen2", decoder_values("qwen2"), decoder(rng, vocabulary, bias=True)


def qwen2vl(rng: np.random.Generator, vocabulary: int) -> tuple[str, Values, Tensors]:
    values = decoder_values("qwen2vl", **{"rope.dimension_sections": [2, 3, 3, 0]})
    return "qwen2vl", values, decoder(rng, vocabulary, bias=True)


def qwen3vl(rng: np.random.Generator, vocabulary: int) -> tuple[str, Values, Tensors]:
    values = decoder_values("qwen3vl", n_deepstack_layers=1, **{"rope.dimension_sections": [2, 3, 3, 0]})
    return "qwen3vl", values, decoder(rng, vocabulary, head_norms=True)


def gemma3(rng: np.random.Generator, vocabulary: int) -> tuple[str, Values, Tensors]:
    tensors = decoder(rng, vocabulary, head_norms=True)
    for layer in range(LAYERS):
        tensors[f"blk.{layer}.post_attention_norm.weight"] = vector(rng, WIDTH, 3.0)
        tensors |= norm(rng, f"blk.{layer}.post_ffw_norm", WIDTH)
    return "gemma3", decoder_values("gemma3", **{"attention.sliding_window": 64}), tensors


def lfm2(rng: np.random.Generator, vocabulary: int) -> tuple[str, Values, Tensors]:
    """One layer of short convolution, one of attention."""
    tensors = decoder(rng, vocabulary, head_norms=True)
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("blk.0.attn_")}
    tensors["token_embd_norm.weight"] = tensors.pop("output_norm.weight")
    tensors |= {
        **norm(rng, "blk.0.attn_norm", WIDTH),
        "blk.0.shortconv.conv.weight": matrix(rng, WIDTH, 3),
        **linear(rng, "blk.0.shortconv.in_proj", 3 * WIDTH, WIDTH),
        **linear(rng, "blk.0.shortconv.out_proj", WIDTH, WIDTH),
    }
    more = {"shortconv.l_cache": 3, "attention.head_count_kv": [0, KV_HEADS]}
    return "lfm2", decoder_values("lfm2", vocab_size=vocabulary, **more), tensors


def tower(
    rng: np.random.Generator,
    patch: int,
    *,
    positions: int = 0,
    bias: bool = True,
    gated: bool = False,
    fused: bool = False,
) -> Tensors:
    """A vision transformer; RMS norms where there is no ``bias``, ``fused`` queries, keys and values."""
    kernel = rng.standard_normal((EYE, 3, patch, patch)) / np.sqrt(3 * patch * patch)
    tensors: Tensors = {"v.patch_embd.weight": kernel.astype(np.float32)}
    if positions:
        tensors["v.position_embd.weight"] = 0.5 * rng.standard_normal((positions, EYE)).astype(np.float32)
    for layer in range(EYE_LAYERS):
        block = f"v.blk.{layer}"
        parts = {"attn_qkv": 3 * EYE} if fused else {"attn_q": EYE, "attn_k": EYE, "attn_v": EYE}
        for part, out in parts.items():
            tensors |= linear(rng, f"{block}.{part}", out, EYE, bias=bias)
        tensors |= {
            **linear(rng, f"{block}.attn_out", EYE, EYE, bias=bias),
            **norm(rng, f"{block}.ln1", EYE, bias=bias),
            **norm(rng, f"{block}.ln2", EYE, bias=bias),
            **linear(rng, f"{block}.ffn_up", EYE_FEED, EYE, bias=bias),
            **linear(rng, f"{block}.ffn_down", EYE, EYE_FEED, bias=bias),
        }
        if gated:
            tensors |= linear(rng, f"{block}.ffn_gate", EYE_FEED, EYE, bias=bias)
    return tensors


def tower_values(projector: str, patch: int, image: int, **more: Any) -> Values:
    vision = {
        "image_size": image,
        "patch_size": patch,
        "embedding_length": EYE,
        "feed_forward_length": EYE_FEED,
        "projection_dim": WIDTH,
        "block_count": EYE_LAYERS,
        "attention.head_count": EYE_HEADS,
        "attention.layer_norm_epsilon": 1e-5,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        **more,
    }
    values: Values = {"clip.has_vision_encoder": True, "clip.projector_type": projector, "clip.use_gelu": True}
    return values | {f"clip.vision.{name}": value for name, value in vision.items()}


def pixtral(rng: np.random.Generator) -> tuple[Values, Tensors]:
    values = tower_values("pixtral", 16, 512) | {"clip.use_gelu": False, "clip.use_silu": True}
    return values, {
        **tower(rng, 16, bias=False, gated=True),
        **norm(rng, "v.pre_ln", EYE),
        **linear(rng, "mm.1", WIDTH, EYE, bias=True),
        **linear(rng, "mm.2", WIDTH, WIDTH, bias=True),
        "v.token_embd.img_break": vector(rng, WIDTH),
    }


def siglip(rng: np.random.Generator, patch: int, image: int) -> Tensors:
    return {
        **tower(rng, patch, positions=(image // patch) ** 2),
        "v.patch_embd.bias": vector(rng, EYE),
        **norm(rng, "v.post_ln", EYE, bias=True),
    }


def idefics3(rng: np.random.Generator) -> tuple[Values, Tensors]:
    values = tower_values("idefics3", 8, 64, preproc_image_size=128, **{"projector.scale_factor": 2})
    return values, siglip(rng, 8, 64) | linear(rng, "mm.model.fc", WIDTH, 4 * EYE)


def gemma3_vision(rng: np.random.Generator) -> tuple[Values, Tensors]:
    values = tower_values("gemma3", 4, 96, **{"projector.scale_factor": 2})
    projection = {"mm.input_projection.weight": matrix(rng, EYE, WIDTH)}
    return values, siglip(rng, 4, 96) | projection | norm(rng, "mm.soft_emb_norm", EYE)


def lfm2_vision(rng: np.random.Generator) -> tuple[Values, Tensors]:
    values = tower_values("lfm2", 16, 256, **{"projector.scale_factor": 2})
    projection = linear(rng, "mm.1", WIDTH, 4 * EYE, bias=True) | linear(rng, "mm.2", WIDTH, WIDTH, bias=True)
    return values, siglip(rng, 16, 256) | norm(rng, "mm.input_norm", 4 * EYE, bias=True) | projection


def qwen25vl(rng: np.random.Generator) -> tuple[Values, Tensors]:
    """Windows of attention of 112 pixels in the first layer, all of the image in the second."""
    values = tower_values("qwen2.5vl_merger", 14, 560, n_wa_pattern=2)
    tensors = tower(rng, 14, gated=True)
    # Its norms are RMS, without bias.
    tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith(("ln1.bias", "ln2.bias"))}
    second = tower(rng, 14)["v.patch_embd.weight"]
    return values | {"clip.use_gelu": False, "clip.use_silu": True}, {
        **tensors,
        "v.patch_embd.weight.1": second,
        **norm(rng, "v.post_ln", EYE),
        **linear(rng, "mm.0", 4 * EYE, 4 * EYE, bias=True),
        **linear(rng, "mm.2", WIDTH, 4 * EYE, bias=True),
    }


def qwen3vl_vision(rng: np.random.Generator) -> tuple[Values, Tensors]:
    values = tower_values("qwen3vl_merger", 16, 256, spatial_merge_size=2)
    return values, {
        **tower(rng, 16, positions=256, fused=True),
        "v.patch_embd.weight.1": tower(rng, 16)["v.patch_embd.weight"],
        "v.patch_embd.bias": vector(rng, EYE),
        **norm(rng, "v.post_ln", EYE, bias=True),
        **linear(rng, "mm.0", 4 * EYE, 4 * EYE, bias=True),
        **linear(rng, "mm.2", WIDTH, 4 * EYE, bias=True),
        **norm(rng, "v.deepstack.0.norm", 4 * EYE, bias=True),
        **linear(rng, "v.deepstack.0.fc1", 4 * EYE, 4 * EYE, bias=True),
        **linear(rng, "v.deepstack.0.fc2", WIDTH, 4 * EYE, bias=True),
    }


def internvl(rng: np.random.Generator) -> tuple[Values, Tensors]:
    more = {"projector.scale_factor": 2, "preproc_min_tiles": 1, "preproc_max_tiles": 4}
    return tower_values("internvl", 8, 64, **more), {
        **tower(rng, 8, positions=65),
        "v.class_embd": vector(rng, EYE),
        "v.patch_embd.bias": vector(rng, EYE),
        **{f"v.blk.{layer}.ls{half}.weight": vector(rng, EYE, 1.0) for layer in range(EYE_LAYERS) for half in (1, 2)},
        **norm(rng, "mm.model.mlp.0", 4 * EYE, bias=True),
        **linear(rng, "mm.model.mlp.1", WIDTH, 4 * EYE, bias=True),
        **linear(rng, "mm.model.mlp.3", WIDTH, WIDTH, bias=True),
    }


def tiles(pattern: str, count: int) -> tuple[str, ...]:
    return tuple(pattern.format(row, column) for row in range(1, count + 1) for column in range(1, count + 1))


QWEN = ("<|vision_start|>", "<|vision_end|>")
IDEFICS = ("<fake_token_around_image>", "<global-img>", *tiles("<row_{}_col_{}>", 4))
LFM = ("<|image_start|>", "<|image_end|>", "<|img_thumbnail|>", *tiles("<|img_row_{}_col_{}|>", 4))
USUAL = ((120, 90), (250, 330))

FAMILIES = (
    Family("pixtral", llama, pixtral, ("[IMG_END]",), USUAL),
    Family("idefics3", llama, idefics3, IDEFICS, USUAL),
    Family("qwen2.5vl", qwen2vl, qwen25vl, QWEN, USUAL),
    Family("qwen3vl", qwen3vl, qwen3vl_vision, QWEN, USUAL),
    Family("gemma3", gemma3, gemma3_vision, ("<start_of_image>", "<end_of_image>"), USUAL),
    Family("lfm2", lfm2, lfm2_vision, LFM, ((120, 90), (800, 700))),
    Family("internvl", qwen2, internvl, ("<img>", "</img>"), USUAL),
)


def make_pair(family: Family, folder: Path, seed: int = 1) -> tuple[Path, Path]:
    """Write the language model and the projector; their paths."""
    rng = np.random.default_rng(seed)
    control = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *family.control)
    arch, values, tensors = family.language(rng, 257 + len(control))
    model, projector = folder / f"{family.name}.gguf", folder / f"mmproj-{family.name}.gguf"
    write(model, arch, values | tokenizer(control), tensors)
    vision_values, vision_tensors = family.vision(rng)
    write(projector, "clip", vision_values, vision_tensors)
    return model, projector


def tokenizer(control: tuple[str, ...]) -> Values:
    """Bytes, and two line feeds as one token, which idefics3 needs; in GPT-2's spelling of bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spelled = {byte: chr(byte) for byte in printable}
    for place, byte in enumerate(byte for byte in range(256) if byte not in spelled):
        spelled[byte] = chr(256 + place)
    pair = spelled[10] * 2
    tokens = [*(spelled[byte] for byte in range(256)), pair, *control]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1] * 257 + [3] * len(control),
        "tokenizer.ggml.merges": [f"{spelled[10]} {spelled[10]}"],
        "tokenizer.ggml.bos_token_id": 257,
        "tokenizer.ggml.eos_token_id": 259,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": TEMPLATE,
    }


def write(
    path: Path,
    arch: str,
    values: Values,
    tensors: Tensors,
    kinds: Mapping[str, gguf.GGMLQuantizationType] = MappingProxyType({}),
) -> None:
    """``kinds`` says of what type tensors are whose bytes are given."""
    writer = gguf.GGUFWriter(path, arch)
    for key, value in values.items():
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_array(key, value)
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor, raw_dtype=kinds.get(name))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
