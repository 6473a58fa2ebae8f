"""The rows that Pixtral-like projectors put between the rows of an image, set right.

llama.cpp 0.3.36 of llama-cpp-python makes them by multiplying memory that nobody has written with zero and adding the
``[IMG_BREAK]`` embedding (``tools/mtmd/models/pixtral.cpp``). Where that memory happens to hold a NaN or an infinity,
the row is NaN, and so is all that the model says after it.
"""

from __future__ import annotations

import ctypes
from functools import reduce
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from llama_cpp import llama_cpp

from local_retab.errors import EngineError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TENSOR = b"v.token_embd.img_break"
_TYPES = {0: np.float32, 1: np.float16}


class _InitParams(ctypes.Structure):
    """``struct gguf_init_params``."""

    _fields_ = (("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p))


def repair(values: NDArray[np.float32], path: Path) -> None:
    """Give the rows of ``values``, shape (tokens, width), that are not finite the embedding in the file at ``path``.

    Raises EngineError where rows are not finite that are no breaks: the projector's weights are damaged.
    """
    rows = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if rows.size == 0:
        return
    embedding = _embedding(path)
    # Breaks end the rows of a grid: their places are multiples of its width.
    if embedding is None or embedding.size != values.shape[1] or reduce(gcd, (rows + 1).tolist()) < 2:
        raise EngineError(
            f"{path.name}: the projector computed NaN; the file may be damaged. Check it with `local-retab models "
            f"verify`."
        )
    values[rows] = embedding


def _embedding(path: Path) -> NDArray[np.float32] | None:
    """The embedding of the break; None where the file has none, or not as floats."""
    library = llama_cpp._lib
    library.gguf_init_from_file.restype = ctypes.c_void_p
    library.gguf_init_from_file.argtypes = [ctypes.c_char_p, _InitParams]
    library.gguf_find_tensor.restype = ctypes.c_int64
    library.gguf_find_tensor.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.gguf_get_data_offset.restype = ctypes.c_size_t
    library.gguf_get_data_offset.argtypes = [ctypes.c_void_p]
    for name in ("gguf_get_tensor_offset", "gguf_get_tensor_size"):
        getattr(library, name).restype = ctypes.c_size_t
        getattr(library, name).argtypes = [ctypes.c_void_p, ctypes.c_int64]
    library.gguf_get_tensor_type.restype = ctypes.c_int
    library.gguf_get_tensor_type.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    library.gguf_free.argtypes = [ctypes.c_void_p]
    file = library.gguf_init_from_file(str(path).encode(), _InitParams(True, None))
    if not file:
        return None
    try:
        tensor = library.gguf_find_tensor(file, _TENSOR)
        kind = _TYPES.get(library.gguf_get_tensor_type(file, tensor)) if tensor >= 0 else None
        if kind is None:
            return None
        offset = library.gguf_get_data_offset(file) + library.gguf_get_tensor_offset(file, tensor)
        size = library.gguf_get_tensor_size(file, tensor)
    finally:
        library.gguf_free(file)
    with path.open("rb") as data:
        data.seek(offset)
        return np.frombuffer(data.read(size), dtype=kind).astype(np.float32)
