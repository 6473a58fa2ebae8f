"""Our own products of weights with activations on processors, in place of ggml's: ``native/``, a backend of ggml.

ggml computes a call of a few tokens nearly one token after the other, and drafts make such calls. Here sixteen rows of
weights lie side by side, and a block of them is unpacked once for all tokens (decision 041).
"""

from __future__ import annotations

import ctypes
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp

LIBRARY = Path(__file__).with_name("native") / "kernels.so"
# Models whose weights of these names llama.cpp only multiplies with. In another one they stay where it puts them.
ARCHITECTURES = frozenset({
    b"gemma2", b"gemma3", b"granite", b"llama", b"mistral3", b"phi3", b"qwen2", b"qwen2vl", b"qwen3", b"qwen3vl",
    b"smollm3",
})  # fmt: skip
_WEIGHTS = re.compile(r"(?:blk\.[0-9]+\.(?:attn_(?:q|k|v|qkv|output)|ffn_(?:gate|up|down))|output)\.weight")
_FUNCTIONS = (
    "ggml_tensor_overhead", "ggml_op_name", "ggml_type_name", "ggml_graph_n_nodes", "ggml_graph_node",
    "ggml_backend_cpu_buffer_type", "ggml_backend_buft_is_host", "ggml_backend_buft_alloc_buffer",
    "ggml_backend_buffer_get_base",
)  # fmt: skip
"""What ``struct host`` of native/plugin.h holds, in its order."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """The library in use: the instructions that it uses, and its buffer type as a pointer."""

    name: str
    buffer_type: int
    library: Any


class _InitParams(ctypes.Structure):
    """``struct gguf_init_params``."""

    _fields_ = (("no_alloc", ctypes.c_bool), ("ctx", ctypes.POINTER(ctypes.c_void_p)))


class _Override(ctypes.Structure):
    """``struct llama_model_tensor_buft_override``."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buffer_type", ctypes.c_void_p))


_once = threading.Lock()
_loaded: list[Kernels | None] = []


def kernels() -> Kernels | None:
    """Load the library and make it known to llama.cpp, once in a process.

    None where it was not built, where the processor has none of its instructions, or beside another llama.cpp.
    """
    with _once:
        if not _loaded:
            _loaded.append(_load())
        return _loaded[0]


def _load() -> Kernels | None:
    if not LIBRARY.is_file():
        return None
    library = ctypes.CDLL(str(LIBRARY))
    backend = _function(library, "local_retab_backend", ctypes.c_void_p, ctypes.c_void_p)
    ggml = llama_cpp.llama_cpp._lib
    host = (ctypes.c_void_p * len(_FUNCTIONS))(*(ctypes.cast(ggml[name], ctypes.c_void_p).value for name in _FUNCTIONS))
    registry = backend(host)
    if not registry:
        return None
    _function(ggml, "ggml_backend_register", None, ctypes.c_void_p)(registry)
    name = _function(library, "local_retab_kernels", ctypes.c_char_p)()
    return Kernels(name.decode(), _function(library, "local_retab_weights", ctypes.c_void_p)(), library)


def overrides(path: Path) -> Any:
    """``tensor_buft_overrides`` that puts weights of the model at ``path`` into our buffers; None: there are none."""
    found = kernels()
    names = _suitable(path, found) if found else []
    if not found or not names:
        return None
    array = (_Override * 2)()
    array[0] = _Override(f"^({'|'.join(map(re.escape, names))})$".encode(), found.buffer_type)
    return array


def _suitable(path: Path, found: Kernels) -> list[str]:
    """The weights in the file that the library can hold."""
    ggml = llama_cpp.llama_cpp._lib
    takes = _function(found.library, "local_retab_takes", ctypes.c_bool, ctypes.c_void_p)
    tensor_name = _function(ggml, "ggml_get_name", ctypes.c_char_p, ctypes.c_void_p)
    following = _function(ggml, "ggml_get_next_tensor", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    tensors = ctypes.c_void_p()
    open_file = _function(ggml, "gguf_init_from_file", ctypes.c_void_p, ctypes.c_char_p, _InitParams)
    file = open_file(str(path).encode(), _InitParams(True, ctypes.pointer(tensors)))
    if not file:
        return []  # llama.cpp says what is wrong with it when it loads it
    names = []
    try:
        if _architecture(ggml, file) in ARCHITECTURES:
            tensor = _function(ggml, "ggml_get_first_tensor", ctypes.c_void_p, ctypes.c_void_p)(tensors)
            while tensor:
                name = tensor_name(tensor).decode("utf-8", "replace")
                if _WEIGHTS.fullmatch(name) and takes(tensor):
                    names.append(name)
                tensor = following(tensors, tensor)
    finally:
        _function(ggml, "gguf_free", None, ctypes.c_void_p)(file)
        _function(ggml, "ggml_free", None, ctypes.c_void_p)(tensors)
    return names


def _architecture(ggml: Any, file: int) -> bytes | None:
    key = _function(ggml, "gguf_find_key", ctypes.c_int64, ctypes.c_void_p, ctypes.c_char_p)(
        file, b"general.architecture"
    )
    if key < 0 or _function(ggml, "gguf_get_kv_type", ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)(file, key) != 8:
        return None
    text: bytes = _function(ggml, "gguf_get_val_str", ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int64)(file, key)
    return text


def _function(library: Any, name: str, result: Any, *arguments: Any) -> Any:
    function = library[name]  # an object of its own, whose types nobody else sees
    function.restype, function.argtypes = result, arguments
    return function
