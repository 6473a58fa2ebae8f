"""The key of a cached result: a hash of everything that the result depends on."""

from __future__ import annotations

import functools
import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_retab.settings import Settings
    from local_retab.weights import InstalledModel
    from local_retab.wire import ExtractionParameters

NATIVE = ("llama-cpp-python", "llguidance", "pypdfium2", "pillow", "rapidocr")
SAME_ANSWER_PARAMETERS = frozenset({"metadata", "bust_cache", "stream", "background", "model"})
SAME_ANSWER_SETTINGS = frozenset(
    {
        "home", "model_micro", "model_small", "model_large", "chunks_per_second", "keep", "keep_days",
        "max_cache_bytes", "api_key", "allowed_hosts", "cors_origins", "isolate", "max_body_bytes", "max_requests",
        "max_queued_requests", "heartbeat_seconds", "link_seconds", "fetch_hosts", "fetch_seconds",
        "prefix_cache_dir", "prefix_cache_bytes", "page_cache_bytes",
    }
)  # fmt: skip
"""Whatever is not listed is taken to change answers: a setting that is forgotten here costs time, never a wrong hit."""


def result_key(
    document_sha256: str, media_type: str, parameters: ExtractionParameters, model: InstalledModel, settings: Settings
) -> str:
    """The key under which the result of an extraction is cached."""
    parts: list[Any] = [
        code_fingerprint(),
        document_sha256,
        media_type,
        _weights(model),
        parameters.model_dump(mode="json", exclude=set(SAME_ANSWER_PARAMETERS)),
        settings.model_dump(mode="json", exclude=set(SAME_ANSWER_SETTINGS)),
    ]
    # The order of a schema's properties is the order in which they are generated, so keys are not sorted.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _weights(model: InstalledModel) -> list[Any]:
    """The checksum of an installed model; of a file outside the store, which has none, its path, size and time."""
    if model.sha256 is not None:
        return [model.sha256, None if model.projector is None else _file(model.projector)]
    return [_file(path) for path in (model.path, model.projector) if path is not None]


def _file(path: Path) -> list[Any]:
    found = path.stat()
    return [str(path.resolve()), found.st_size, found.st_mtime_ns]


@functools.cache
def code_fingerprint() -> str:
    """A hash of this package's source and of the versions of the native libraries that answers come from.

    The version alone would let a change of the code under development find results of the code before it.
    """
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parent.parent
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    for name in NATIVE:
        digest.update(f"{name} {_version(name)}\0".encode())
    return digest.hexdigest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
