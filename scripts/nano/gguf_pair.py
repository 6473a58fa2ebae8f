"""The trained network as the pair of GGUF files that unmodified llama.cpp loads: language model and projector."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from nano.alphabet import BOS, EOS, SPECIAL, VOCABULARY
from nano.model import DEVIATION, MEAN, Decoder, Sizes, Tower
from nano.raster import PATCH

# The image marker and the texts of a chat stand one after another; the answer begins on a line of its own.
TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message.content }}{% endfor %}{{ '\\n' }}"
# llama.cpp wants merges in a byte-pair vocabulary. These two bytes never stand in UTF-8, so it merges nothing.
MERGES = ["ÿ þ"]
LARGEST_SIDE = 512


def write_pair(folder: Path, tower: Tower, decoder: Decoder, *, name: str, version: str) -> tuple[Path, Path]:
    """Write ``nano.gguf`` and ``mmproj-nano.gguf``, matrices in float16; gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "nano.gguf", folder / "mmproj-nano.gguf"
    _write_decoder(paths[0], decoder, name, version)
    _write_tower(paths[1], tower, decoder, name, version)
    return paths


def byte_tokens() -> list[str]:
    """The 256 bytes as byte-level vocabularies spell them: printable ones as themselves, others moved above 255."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = iter(range(256, 512))
    return [chr(byte if byte in plain else next(moved)) for byte in range(256)]


def _write_decoder(path: Path, decoder: Decoder, name: str, version: str) -> None:
    sizes = decoder.sizes
    writer = gguf.GGUFWriter(path, "llama")
    _general(writer, name, version, sizes)
    writer.add_context_length(sizes.context)
    writer.add_embedding_length(sizes.width)
    writer.add_block_count(sizes.layers)
    writer.add_feed_forward_length(sizes.feed)
    writer.add_head_count(sizes.heads)
    writer.add_head_count_kv(sizes.heads)
    writer.add_layer_norm_rms_eps(sizes.epsilon)
    writer.add_rope_freq_base(sizes.rope_base)
    writer.add_rope_dimension_count(sizes.width // sizes.heads)
    writer.add_vocab_size(VOCABULARY)
    names = [*byte_tokens(), *(SPECIAL[token] for token in sorted(SPECIAL))]
    unused = [f"[UNUSED_{index}]" for index in range(VOCABULARY - len(names))]
    kinds = (
        [gguf.TokenType.NORMAL] * 256 + [gguf.TokenType.CONTROL] * len(SPECIAL) + [gguf.TokenType.UNUSED] * len(unused)
    )
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*names, *unused])
    writer.add_token_types(kinds)
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    _matrix(writer, "token_embd.weight", decoder.embedding.weight)
    _vector(writer, "output_norm.weight", decoder.norm.weight)
    _matrix(writer, "output.weight", decoder.head.weight)
    _blocks(
        writer,
        decoder.blocks,
        "blk.{}.",
        {"attention_norm": "attn_norm", "feed_norm": "ffn_norm", "output": "attn_output"},
    )
    _close(writer)


def _write_tower(path: Path, tower: Tower, decoder: Decoder, name: str, version: str) -> None:
    sizes = tower.sizes
    writer = gguf.GGUFWriter(path, "clip")
    _general(writer, f"{name} projector", version, sizes)
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("pixtral")
    writer.add_vision_image_size(LARGEST_SIDE)
    writer.add_vision_patch_size(PATCH)
    writer.add_vision_embedding_length(sizes.width)
    writer.add_vision_feed_forward_length(sizes.tower_feed)
    writer.add_vision_block_count(sizes.tower_layers)
    writer.add_vision_head_count(sizes.tower_heads)
    writer.add_vision_projection_dim(sizes.width)
    writer.add_vision_attention_layernorm_eps(sizes.epsilon)
    writer.add_vision_image_mean([MEAN] * 3)
    writer.add_vision_image_std([DEVIATION] * 3)
    writer.add_vision_use_silu(True)
    # Training sees grey; a colour page counts as the mean of its channels.
    patch = _array(tower.patch.weight).reshape(-1, 1, PATCH, PATCH) / 3
    writer.add_tensor("v.patch_embd.weight", np.repeat(patch, 3, axis=1).astype(np.float32))
    _vector(writer, "v.patch_embd.bias", tower.patch.bias)
    _vector(writer, "v.pre_ln.weight", tower.norm.weight)
    _blocks(writer, tower.blocks, "v.blk.{}.", {"attention_norm": "ln1", "feed_norm": "ln2", "output": "attn_out"})
    for number, layer in ((1, tower.hidden), (2, tower.token)):
        _matrix(writer, f"mm.{number}.weight", layer.weight)
        _vector(writer, f"mm.{number}.bias", layer.bias)
    _vector(writer, "v.token_embd.img_break", decoder.image_break)
    _close(writer)


def _general(writer: gguf.GGUFWriter, name: str, version: str, sizes: Sizes) -> None:
    writer.add_name(name)
    writer.add_version(version)
    writer.add_license("apache-2.0")
    writer.add_description("Reads generated pages. An instrument for tests, not a product for real scans.")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def _blocks(writer: gguf.GGUFWriter, blocks: nn.ModuleList, prefix: str, names: dict[str, str]) -> None:
    names = {"query": "attn_q", "key": "attn_k", "value": "attn_v", "gate": "ffn_gate", "up": "ffn_up", **names}
    names.setdefault("down", "ffn_down")
    for index, block in enumerate(blocks):
        for part, target in names.items():
            weight = getattr(block, part).weight
            write = _vector if weight.ndim == 1 else _matrix
            write(writer, f"{prefix.format(index)}{target}.weight", weight)


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.detach().numpy().astype(np.float32)


def _matrix(writer: gguf.GGUFWriter, name: str, tensor: Tensor) -> None:
    writer.add_tensor(name, _array(tensor).astype(np.float16))


def _vector(writer: gguf.GGUFWriter, name: str, tensor: Tensor) -> None:
    writer.add_tensor(name, _array(tensor))


def _close(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
