"""``local-retab doctor``: whether an extraction could run here, and everything that bears on it."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from local_retab.cli.listing import columns, known_models
from local_retab.cli.machine import Memory, memory
from local_retab.cli.models import open_store
from local_retab.cli.output import write_line
from local_retab.cli.terminal import file_size, printable, say, to_json
from local_retab.errors import EngineError, LocalRetabError, ModelError, SettingsError, StorageError

if TYPE_CHECKING:
    from local_retab.engine.devices import Gpu
    from local_retab.engine.pace import ImageCost
    from local_retab.engine.tuning import Tuning
    from local_retab.settings import Settings
    from local_retab.weights import InstalledModel

EPILOG = """Example: local-retab doctor --json

Exits with 0 if an extraction could run; otherwise it says what to do and exits with the code of the error."""

PACKAGES = ("llama-cpp-python", "llguidance", "outlines", "pypdfium2", "pillow", "pydantic")
EXTRAS = {"pillow-heif": "heic", "huggingface_hub": "huggingface"}
ROOM = 1024**3
"""Bytes beside the weights: context, working memory, the program."""


@dataclass(frozen=True, slots=True)
class Backend:
    """llama.cpp as it is built and will be used."""

    device: str
    gpu_layers: int
    """On the GPU; -1 all."""
    gpus: list[Gpu]
    """Those that layers are put on."""
    threads: int
    prefill_chunk_tokens: int
    flash_attention: bool
    kernels: str | None
    """The instructions of our own products of weights, for models that have such weights; None where llama.cpp's are
    used for all: on a GPU, on another processor, or where no C compiler was there when the package was installed."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a model's files and room to work fit in the memory that is free for them now; None where not known."""

    name: str
    installed: bool
    size: int | None
    fits: bool | None


@dataclass(frozen=True, slots=True)
class Report:
    """All findings. Sizes in bytes; ``versions`` has None for what is not installed."""

    versions: dict[str, str | None]
    backend: Backend | None
    physical_cores: int
    memory: Memory
    store: str
    database: str
    disk_free: int | None
    default_model: str | None
    page_image: ImageCost | None
    """What the image of an A4 page costs the default model here; None where it does not see."""
    models: list[Fit]
    settings: dict[str, Any]
    problems: list[str]


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check that an extraction can run here: versions, llama.cpp, memory, disk, models, settings."""
    from local_retab.settings import Settings

    report, errors = examine(Settings.from_environment())
    if as_json:
        write_line(to_json(asdict(report)))
    else:
        for line in describe(report):
            write_line(line)
    for error in errors:
        say(error.message, label="error:", style="bold red")
    if errors:
        raise typer.Exit(errors[0].exit_code)


def examine(settings: Settings) -> tuple[Report, list[LocalRetabError]]:
    """The findings, and an error for each thing that keeps an extraction from running."""
    from local_retab.engine.hardware import physical_cores
    from local_retab.wire import DEFAULT_MODEL

    errors: list[LocalRetabError] = []
    backend = default = page_image = None
    try:
        backend = _backend(settings)
    except (EngineError, SettingsError) as error:
        errors.append(error)
    store = open_store(settings)
    installed: list[InstalledModel] = []
    try:
        installed = store.installed()
        default = store.resolve(DEFAULT_MODEL, settings).name
        page_image = _page_image(settings)
    except LocalRetabError as error:
        errors.append(error)
    database = "none yet"
    try:
        database = _database(settings)
    except StorageError as error:
        database = "cannot be used"
        errors.append(error)
    found = memory()
    room = _room(backend, found)
    report = Report(
        versions=_versions(),
        backend=backend,
        physical_cores=physical_cores(),
        memory=found,
        store=str(settings.home / "models"),
        database=database,
        disk_free=_disk_free(settings.home),
        default_model=default,
        page_image=page_image,
        models=[
            Fit(model.name, model.installed, model.size, _fits(model.size, room))
            for model in known_models(store.catalogue, installed)
        ],
        settings=settings.model_dump(mode="json"),
        problems=[error.message for error in errors],
    )
    return report, errors


def _backend(settings: Settings) -> Backend:
    try:
        from local_retab.engine.devices import gpus
        from local_retab.engine.kernels import kernels
        from local_retab.engine.opening import gpu_layers

        layers = gpu_layers(settings)
        used = gpus() if layers else []
        own = None if layers else kernels()
    # What a broken or foreign shared library raises when the bindings load it.
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise EngineError(
            f"llama.cpp cannot be loaded: {error}. Install it again: pip install --force-reinstall llama-cpp-python."
        ) from error
    tuning = _tuning(settings)
    return Backend(
        "gpu" if layers else "cpu",
        layers,
        used,
        tuning.threads,
        tuning.prefill_chunk_tokens,
        tuning.flash_attention,
        own.name if own else None,
    )


def _room(backend: Backend | None, main: Memory) -> int | None:
    """Free bytes where a model's layers go: on the GPUs, in main memory, or in both when only some go to a GPU."""
    if backend is None or backend.device == "cpu":
        return main.available
    free = sum(gpu.free for gpu in backend.gpus)
    return free if backend.gpu_layers < 0 else free + (main.available or 0)


def _tuning(settings: Settings) -> Tuning:
    """As the default model is run; the defaults where none is installed."""
    from local_retab.engine.opening import on_gpu, tuning_of
    from local_retab.engine.tuning import default_tuning
    from local_retab.wire import DEFAULT_MODEL

    try:
        model = open_store(settings).resolve(DEFAULT_MODEL, settings)
    except ModelError:
        return default_tuning(gpu=on_gpu(settings))
    return tuning_of(model, settings)


def _page_image(settings: Settings) -> ImageCost | None:
    """Measured with the model itself, which is loaded for it only when it sees."""
    from local_retab.service import ExtractionService
    from local_retab.wire import DEFAULT_MODEL

    service = ExtractionService(settings)
    if service.store.resolve(DEFAULT_MODEL, settings).projector is None:
        return None
    try:
        return service.page_cost(DEFAULT_MODEL)
    finally:
        service.close()


def _database(settings: Settings) -> str:
    """What the records and files are in. Raises StorageError for a database that is not whole."""
    from local_retab.storage import Database, database_path

    path = database_path(settings.home)
    if not path.exists():
        return "none yet"
    with closing(Database(path)) as database:
        faults = database.check()
    if faults:
        raise StorageError(
            f"{path} is damaged ({faults[0]}). Move it away, and copy it back from a backup if there is one.",
            details={"faults": faults},
        )
    return f"{path}, whole"


def _versions() -> dict[str, str | None]:
    from local_retab import __version__

    found: dict[str, str | None] = {"python": platform.python_version(), "local-retab": __version__}
    for package in (*PACKAGES, *EXTRAS):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _disk_free(folder: Path) -> int | None:
    """Free bytes where ``folder`` is or would be made."""
    existing = next((place for place in (folder, *folder.absolute().parents) if place.exists()), None)
    try:
        return shutil.disk_usage(existing).free if existing else None
    except OSError:
        return None


def _fits(size: int | None, available: int | None) -> bool | None:
    return None if size is None or available is None else size + ROOM <= available


def describe(report: Report) -> list[str]:
    """The findings as lines for people."""
    from local_retab.settings import PREFIX

    backend = report.backend
    facts = [
        ("llama.cpp", _run(backend) if backend else "cannot be loaded"),
        *(
            ("GPU", f"{printable(gpu.name)}, {_size(gpu.total)}, {_size(gpu.free)} available")
            for gpu in (backend.gpus if backend else ())
        ),
        ("products", (f"own kernels ({backend.kernels})" if backend and backend.kernels else "llama.cpp's")),
        ("physical cores", str(report.physical_cores)),
        ("memory", f"{_size(report.memory.total)}, {_size(report.memory.available)} available"),
        ("store", f"{printable(report.store)}, {_size(report.disk_free)} free on its disk"),
        ("records", printable(report.database)),
        ("default model", printable(report.default_model or "none installed")),
        ("page image", _cost(report.page_image)),
    ]
    versions = [
        (name, found or (f'absent: pip install "local-retab[{EXTRAS[name]}]"' if name in EXTRAS else "absent"))
        for name, found in report.versions.items()
    ]
    models = [
        (printable(fit.name), _size(fit.size), "installed" if fit.installed else "", FITS[fit.fits])
        for fit in report.models
    ]
    settings = [
        (PREFIX + name.upper(), "(unset)" if value is None else printable(str(value)))
        for name, value in report.settings.items()
    ]
    sections: dict[str, Sequence[Sequence[str]]] = {
        "Machine": facts,
        "Versions": versions,
        "Models": models,
        "Settings": settings,
    }
    lines: list[str] = []
    for title, rows in sections.items():
        lines += [title, *(f"  {row}" for row in columns(rows)), ""]
    lines.append("Ready: an extraction can run." if not report.problems else "Not ready:")
    return lines


FITS = {True: "fits in memory", False: "too large for the memory available now", None: "size not known"}


def _run(backend: Backend) -> str:
    kernel = "fused attention" if backend.flash_attention else "plain attention"
    layers = "all" if backend.gpu_layers < 0 else str(backend.gpu_layers)
    device = f"gpu with {layers} layers" if backend.gpu_layers else "cpu"
    return f"{device}, {backend.threads} threads, prompts by {backend.prefill_chunk_tokens} tokens, {kernel}"


def _cost(cost: ImageCost | None) -> str:
    if cost is None:
        return "the default model reads text only"
    return f"A4 at 192 dpi: {cost.tokens} tokens, about {cost.seconds:.1f} s"


def _size(size: int | None) -> str:
    return "unknown" if size is None else file_size(size)
