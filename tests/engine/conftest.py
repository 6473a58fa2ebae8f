"""Our own kernels, each kind of them that this processor has."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import replace

import pytest

from local_retab.engine import kernels as kernels_module
from local_retab.engine.kernels import Kernels, kernels


@pytest.fixture(scope="module", params=["AVX-512", "AVX2"])
def library(request: pytest.FixtureRequest) -> Iterator[Kernels]:
    """In use as long as a test runs that asks for it."""
    found = kernels()
    if found is None:
        pytest.skip("no kernels for this processor")
    choose = found.library["local_retab_choose"]
    choose.restype = ctypes.c_bool
    if not choose(request.param.encode()):
        pytest.skip(f"this processor has no {request.param}")
    chosen = replace(found, name=request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels_module, "_loaded", [chosen])
        yield chosen
    choose(found.name.encode())
