"""The GPUs that llama.cpp can use. Its bindings leave these calls out, so they are made on the library itself."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from llama_cpp._ggml import libggml

from local_retab.engine.llama import supports_gpu

_GPU, _INTEGRATED_GPU = 1, 2  # of ggml_backend_dev_type


@dataclass(frozen=True, slots=True)
class Gpu:
    """One of them, with its memory in bytes."""

    name: str
    total: int
    free: int


def gpus() -> list[Gpu]:
    """In the order of the library; none where its build has no GPU backend or the backend finds no GPU."""
    if not supports_gpu():
        return []
    count = _function("ggml_backend_dev_count", ctypes.c_size_t)
    device = _function("ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t)
    kind = _function("ggml_backend_dev_type", ctypes.c_int, ctypes.c_void_p)
    found = [device(index) for index in range(count())]
    return [_describe(one) for one in found if kind(one) in (_GPU, _INTEGRATED_GPU)]


def _describe(device: int) -> Gpu:
    description = _function("ggml_backend_dev_description", ctypes.c_char_p, ctypes.c_void_p)
    size = ctypes.POINTER(ctypes.c_size_t)
    memory = _function("ggml_backend_dev_memory", None, ctypes.c_void_p, size, size)
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    memory(device, ctypes.byref(free), ctypes.byref(total))
    return Gpu(description(device).decode("utf-8", "replace"), total.value, free.value)


def _function(name: str, result: Any, *arguments: Any) -> Any:
    function = libggml[name]  # an object of its own, whose types nobody else sees
    function.restype, function.argtypes = result, arguments
    return function
