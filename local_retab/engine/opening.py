"""From an installed model and the settings to an engine."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_retab.engine.backend import BackendInfo
    from local_retab.engine.engine import Engine
    from local_retab.settings import Settings
    from local_retab.weights import InstalledModel


DAY = 24 * 3600.0


def open_llama(model: InstalledModel, settings: Settings) -> Engine:
    """Load a model, with its projector where it has one. Raises ModelLoadError."""
    from local_retab.engine.engine import Engine
    from local_retab.engine.hardware import physical_cores
    from local_retab.engine.llama import LlamaBackend, supports_gpu
    from local_retab.engine.prefix_disk import PrefixDisk
    from local_retab.engine.vision import VisionLimits

    gpu_layers = settings.gpu_layers
    if gpu_layers is None:
        gpu_layers = -1 if supports_gpu() else 0
    # On a CPU 128 tokens at once are as fast as 512, and nobody waits four times as long for a step to end.
    chunk = settings.prefill_chunk_tokens or (512 if gpu_layers else 128)
    entry = model.entry
    backend = LlamaBackend(
        model.path,
        context_tokens=settings.context_tokens,
        batch_tokens=chunk,
        # As many again as can run, so that prefixes of ended sequences stay for reuse.
        sequences=2 * settings.max_sequences,
        threads=settings.threads or physical_cores(),
        gpu_layers=gpu_layers,
        projector=model.projector,
        vision=VisionLimits(
            settings.image_min_tokens or (entry.image_min_tokens if entry else None),
            settings.image_max_tokens or (entry.image_max_tokens if entry else None),
            settings.image_cache_bytes,
        ),
        stop=entry.stop_tokens if entry else (),
    )
    disk = None
    if settings.prefix_cache_bytes and settings.keep == "all":
        disk = PrefixDisk(
            settings.prefix_cache_dir or settings.home / "prefixes",
            settings.prefix_cache_bytes,
            _identity(model, backend.info),
            max_age=settings.keep_days * DAY if settings.keep_days is not None else None,
        )
    return Engine(backend, max_sequences=settings.max_sequences, prefill_chunk=chunk, disk=disk)


def _identity(model: InstalledModel, info: BackendInfo) -> str:
    """What the KV of a prompt depends on besides its tokens. A file outside the store has no checksum."""
    found = model.path.stat()
    weights = model.sha256 or f"{model.path.resolve()} {found.st_size} {found.st_mtime_ns}"
    return f"{weights} {info.device} llama-cpp-python {version('llama-cpp-python')}"
