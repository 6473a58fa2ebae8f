"""From an installed model and the settings to an engine."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_retab.engine.backend import BackendInfo
    from local_retab.engine.engine import Engine
    from local_retab.engine.llama import LlamaBackend
    from local_retab.engine.tuning import Tuning
    from local_retab.settings import Settings
    from local_retab.weights import InstalledModel


DAY = 24 * 3600.0


def open_llama(model: InstalledModel, settings: Settings) -> Engine:
    """Load a model, with its projector where it has one. Raises ModelLoadError and SettingsError."""
    from local_retab.engine.engine import Engine
    from local_retab.engine.prefix_disk import PrefixDisk

    tuning = tuning_of(model, settings)
    backend = open_backend(model, settings, tuning)
    disk = None
    if settings.prefix_cache_bytes and settings.keep == "all":
        disk = PrefixDisk(
            settings.prefix_cache_dir or settings.home / "prefixes",
            settings.prefix_cache_bytes,
            _identity(model, backend.info, tuning),
            max_age=settings.keep_days * DAY if settings.keep_days is not None else None,
        )
    return Engine(backend, max_sequences=settings.max_sequences, prefill_chunk=tuning.prefill_chunk_tokens, disk=disk)


def open_backend(model: InstalledModel, settings: Settings, tuning: Tuning) -> LlamaBackend:
    """A model as it is decoded with ``tuning``. Raises ModelLoadError."""
    from local_retab.engine.llama import LlamaBackend
    from local_retab.engine.vision import VisionLimits

    entry = model.entry
    return LlamaBackend(
        model.path,
        context_tokens=settings.context_tokens,
        batch_tokens=tuning.prefill_chunk_tokens,
        # As many again as can run, so that prefixes of ended sequences stay for reuse.
        sequences=2 * settings.max_sequences,
        threads=tuning.threads,
        gpu_layers=gpu_layers(settings),
        flash_attention=tuning.flash_attention,
        projector=model.projector,
        vision=VisionLimits(
            settings.image_min_tokens or (entry.image_min_tokens if entry else None),
            settings.image_max_tokens or (entry.image_max_tokens if entry else None),
            settings.image_cache_bytes,
        ),
        stop=entry.stop_tokens if entry else (),
    )


def tuning_of(model: InstalledModel, settings: Settings) -> Tuning:
    """What the settings say, else what ``local-retab tune`` chose here, else the defaults. Raises SettingsError."""
    from local_retab.engine.kernels import attends
    from local_retab.engine.tuning import Tuning, Tunings, default_tuning

    gpu = on_gpu(settings)
    found = Tunings(settings).get(model, gpu=gpu)
    found = found or default_tuning(gpu=gpu, own_attention=not gpu and attends(model.path))
    flash = settings.flash_attention
    return Tuning(
        settings.threads or found.threads,
        settings.prefill_chunk_tokens or found.prefill_chunk_tokens,
        found.flash_attention if flash is None else flash,
    )


def on_gpu(settings: Settings) -> bool:
    """Whether any layer is put on a GPU."""
    return gpu_layers(settings) != 0


def gpu_layers(settings: Settings) -> int:
    """Layers on the GPU as llama.cpp counts them: -1 all, 0 none, also where there is no GPU."""
    from local_retab.engine.llama import supports_gpu

    if not supports_gpu():
        return 0
    return -1 if settings.gpu_layers is None else settings.gpu_layers


def _identity(model: InstalledModel, info: BackendInfo, tuning: Tuning) -> str:
    """What the KV of a prompt depends on besides its tokens. A file outside the store has no checksum."""
    found = model.path.stat()
    weights = model.sha256 or f"{model.path.resolve()} {found.st_size} {found.st_mtime_ns}"
    kernel = "flash" if tuning.flash_attention else "plain"
    return f"{weights} {info.device} {info.kernels} {kernel} llama-cpp-python {version('llama-cpp-python')}"
