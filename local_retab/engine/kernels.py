"""Our own products of weights and attention on processors, in place of ggml's: ``native/``, a backend of ggml.

ggml computes a call of a few tokens nearly one token after the other, and drafts make such calls. Here sixteen rows of
weights lie side by side, and a block of them is unpacked once for all tokens; so are keys and values (decision 041).
"""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp

LIBRARY = Path(__file__).with_name("native") / "kernels.so"
# Models whose weights of these names llama.cpp only multiplies with. In another one they stay where it puts them.
ARCHITECTURES = frozenset({
    "gemma2", "gemma3", "granite", "llama", "mistral3", "phi3", "qwen2", "qwen2vl", "qwen3", "qwen3vl", "smollm3",
})  # fmt: skip
CAPPED = frozenset({"gemma2"})  # their scores are capped, which our attention does not do
HEADS = (64, 128)  # widths of heads that it has
_NUMBER, _TEXT = 4, 8  # types of entries in a GGUF file
_WEIGHTS = re.compile(r"(?:blk\.[0-9]+\.(?:attn_(?:q|k|v|qkv|output)|ffn_(?:gate|up|down))|output)\.weight")
_FUNCTIONS = (
    "ggml_tensor_overhead", "ggml_op_name", "ggml_type_name", "ggml_graph_n_nodes", "ggml_graph_node",
    "ggml_backend_cpu_buffer_type", "ggml_backend_buft_is_host", "ggml_backend_buft_alloc_buffer",
    "ggml_backend_buffer_get_base",
)  # fmt: skip
"""What ``struct host`` of native/plugin.h holds, in its order."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """The library in use: the instructions that it uses and its buffer type as a pointer."""

    name: str
    buffer_type: int
    library: Any

    def take(self, own: bool) -> None:
        """Say, for this thread's calls of llama.cpp from now on, whether the model has weights in our buffers.

        Without them the small operations beside products stay with llama.cpp too.
        """
        self.library.local_retab_take(ctypes.c_bool(own))

    def rest(self, threads: int, seconds: float) -> None:
        """Let this thread and the ``threads`` - 1 that compute with it sleep, where they would spin."""
        self.library.local_retab_rest(ctypes.c_int(threads), ctypes.c_int(round(seconds * 1e6)))


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
    buffer_type = _function(library, "local_retab_weights", ctypes.c_void_p)()
    return Kernels(name.decode(), buffer_type, library)


def overrides(path: Path) -> Any:
    """``tensor_buft_overrides`` that puts weights of the model at ``path`` into our buffers; None: there are none."""
    found = kernels()
    names = _Model.read(path, found).weights if found else []
    if not found or not names:
        return None
    array = (_Override * 2)()
    array[0] = _Override(f"^({'|'.join(map(re.escape, names))})$".encode(), found.buffer_type)
    return array


def attends(path: Path) -> bool:
    """Whether the attention of the model at ``path`` is ours too; then llama.cpp's fused form of it is what to ask for,
    as it leaves it to us whole."""
    found = kernels()
    if found is None:
        return False
    model = _Model.read(path, found)
    return bool(model.weights) and model.architecture not in CAPPED and model.head in HEADS


@dataclass(frozen=True, slots=True)
class _Model:
    """What the head of a GGUF file says: the weights that the library can hold, and the width of an attention head."""

    architecture: str = ""
    head: int = 0
    weights: Sequence[str] = ()

    @classmethod
    def read(cls, path: Path, found: Kernels) -> _Model:
        ggml = llama_cpp.llama_cpp._lib
        tensors = ctypes.c_void_p()
        open_file = _function(ggml, "gguf_init_from_file", ctypes.c_void_p, ctypes.c_char_p, _InitParams)
        file = open_file(str(path).encode(), _InitParams(True, ctypes.pointer(tensors)))
        if not file:
            return cls()  # llama.cpp says what is wrong with it when it loads it
        try:
            architecture = _value(ggml, file, "general.architecture")
            if architecture not in ARCHITECTURES:
                return cls()
            width, heads, head = (
                _value(ggml, file, f"{architecture}.{key}")
                for key in ("embedding_length", "attention.head_count", "attention.key_length")
            )
            if not isinstance(head, int):
                head = width // heads if isinstance(width, int) and isinstance(heads, int) and heads else 0
            return cls(architecture, head, _suitable(ggml, tensors, found))
        finally:
            _function(ggml, "gguf_free", None, ctypes.c_void_p)(file)
            _function(ggml, "ggml_free", None, ctypes.c_void_p)(tensors)


def _suitable(ggml: Any, tensors: ctypes.c_void_p, found: Kernels) -> list[str]:
    """The names of weights that the library can hold."""
    takes = _function(found.library, "local_retab_takes", ctypes.c_bool, ctypes.c_void_p)
    tensor_name = _function(ggml, "ggml_get_name", ctypes.c_char_p, ctypes.c_void_p)
    following = _function(ggml, "ggml_get_next_tensor", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    tensor = _function(ggml, "ggml_get_first_tensor", ctypes.c_void_p, ctypes.c_void_p)(tensors)
    names = []
    while tensor:
        name = tensor_name(tensor).decode("utf-8", "replace")
        if _WEIGHTS.fullmatch(name) and takes(tensor):
            names.append(name)
        tensor = following(tensors, tensor)
    return names


def _value(ggml: Any, file: int, name: str) -> str | int | None:
    """A text or a number of 32 bits among the entries of a GGUF file; None where there is none of the name."""
    key = _function(ggml, "gguf_find_key", ctypes.c_int64, ctypes.c_void_p, ctypes.c_char_p)(file, name.encode())
    if key < 0:
        return None
    kind = _function(ggml, "gguf_get_kv_type", ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)(file, key)
    if kind == _TEXT:
        text = _function(ggml, "gguf_get_val_str", ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int64)(file, key)
        return bytes(text).decode("utf-8", "replace")
    if kind == _NUMBER:
        return int(_function(ggml, "gguf_get_val_u32", ctypes.c_uint32, ctypes.c_void_p, ctypes.c_int64)(file, key))
    return None


def _function(library: Any, name: str, result: Any, *arguments: Any) -> Any:
    function = library[name]  # an object of its own, whose types nobody else sees
    function.restype, function.argtypes = result, arguments
    return function
