"""Compiles ``local_retab/engine/native``: a hook of hatch, for when the package is built, and a program.

Without a C compiler, or on another processor than x86-64, the package is built without them and llama.cpp computes
all: slower, and right. Each kind of instructions is compiled on its own and chosen when the library is loaded.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

NATIVE = Path("local_retab", "engine", "native")
LIBRARY = NATIVE / "kernels.so"
COMMON = ("-O3", "-fPIC", "-std=gnu11", "-Wall", "-Wextra", "-fopenmp", "-fvisibility=hidden")
AVX512 = ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mfma", "-mf16c")
AVX2 = ("-mavx2", "-mfma", "-mf16c")
SOURCES: dict[str, tuple[str, ...]] = {
    "backend.c": (),
    "compute.c": (),
    "interleave.c": (),
    "probes.c": (),
    "supports.c": (),
    "weights.c": (),
    "attention_avx2.c": AVX2,
    "rows_avx2.c": AVX2,
    "attention_avx512.c": AVX512,
    "rows_avx512.c": AVX512,
}


def build(root: Path) -> str | None:
    """Compile into ``LIBRARY`` under ``root``; None when it is there, else why it is not."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"{sys.platform} on {platform.machine()} has none"
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return "there is no C compiler"
    with tempfile.TemporaryDirectory() as folder:
        objects = []
        for source, flags in SOURCES.items():
            objects.append(str(Path(folder, source).with_suffix(".o")))
            fault = _run(compiler, *COMMON, *flags, "-c", str(root / NATIVE / source), "-o", objects[-1])
            if fault:
                return fault
        # Under another name first: a process may run the one that is there.
        new = root / LIBRARY.with_suffix(".so.new")
        fault = _run(compiler, "-shared", "-fopenmp", *objects, "-o", str(new), "-lm")
        if not fault:
            new.replace(root / LIBRARY)
        return fault


def _run(*command: str) -> str | None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"{' '.join(command)}: {done.stderr.strip()}" if done.returncode else None


def get_build_hook() -> type:
    """What hatch calls for wheels, editable ones too; hatch is there only then."""
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface

    class KernelsHook(BuildHookInterface[Any]):
        PLUGIN_NAME = "custom"

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            fault = build(Path(self.root))
            if fault:
                self.app.display_warning(f"local_retab is built without its own kernels: {fault}")
                return
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-linux_{platform.machine()}"
            build_data["artifacts"].append(str(LIBRARY))

    return KernelsHook


if __name__ == "__main__":
    sys.exit(build(Path(__file__).parent.parent))
