"""Which installed model a name means."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from local_retab.errors import ModelNotFoundError
from local_retab.weights.catalogue import Catalogue
from local_retab.weights.gguf import check_gguf
from local_retab.weights.manifest import InstalledModel

if TYPE_CHECKING:
    from local_retab.settings import Settings

AskedTier = Literal["micro", "small", "large"]

TIER_NAMES: dict[str, AskedTier] = {
    "retab-micro": "micro",
    "retab-small": "small",
    "retab-large": "large",
    "auto-micro": "micro",
    "auto-small": "small",
    "auto-large": "large",
}
"""The hosted names, new and old."""

_PREFERENCE: dict[AskedTier, tuple[str, ...]] = {
    "micro": ("micro", "small", "large"),
    "small": ("small", "large", "micro"),
    "large": ("large", "small", "micro"),
}


def is_path(name: str) -> bool:
    """Whether a model is named by its file."""
    return "/" in name or "\\" in name or name.endswith(".gguf")


def resolve_path(name: str, catalogue: Catalogue) -> InstalledModel:
    """The model in a file outside the store, with the projector that is ``mmproj-`` and the same name beside it.

    A file that the catalogue knows has what the catalogue says of it, its way of asking above all. Raises
    ModelNotFoundError, or ModelLoadError when a file is not GGUF or is not what its name says.
    """
    path = find_file(name)
    check_gguf(path, "model")
    entry = catalogue.entry_of(path.name, path.stat().st_size)
    projector = path.with_name(f"mmproj-{path.name}")
    if not projector.is_file():
        return InstalledModel(path.stem, path, None, None, entry)
    check_gguf(projector, "projector")
    return InstalledModel(path.stem, path, projector, None, entry)


def find_file(name: str) -> Path:
    """The absolute path of a model's file. Raises ModelNotFoundError when there is no such file."""
    path = Path(os.path.expanduser(name))
    if not path.is_file():
        raise ModelNotFoundError(
            f"{name}: there is no such file. Correct the path, or give the name of a model "
            f"(`local-retab models list` shows them).",
            details={"model": name},
        )
    return path.absolute()


def configured(tier: AskedTier, settings: Settings) -> str | None:
    """The model that the user's settings put in the place of a tier."""
    return {"micro": settings.model_micro, "small": settings.model_small, "large": settings.model_large}[tier]


def best_of_tier(tier: AskedTier, installed: Sequence[InstalledModel], catalogue: Catalogue) -> InstalledModel | None:
    """The best installed model for a tier, or None.

    First the tier itself, then the others, for micro the smaller and for small and large the larger first; then
    models imported from elsewhere; the starter last, as the one that nobody chose. Within a tier the order is the
    catalogue's, for imported models that of ``installed``. Models for tests are never chosen.
    """
    order = [entry.name for entry in catalogue.models]
    ranks = {wanted: rank for rank, wanted in enumerate((*_PREFERENCE[tier], None, "starter"))}

    def rank(model: InstalledModel) -> tuple[int, int]:
        if model.entry is None:
            return ranks[None], 0
        return ranks[model.entry.tier], order.index(model.name)

    usable = [model for model in installed if model.entry is None or model.entry.tier in ranks]
    return min(usable, key=rank, default=None)


def not_installed(name: str, installed: Sequence[InstalledModel], catalogue: Catalogue) -> ModelNotFoundError:
    """The error for a name that no installed model answers to, with the command that helps."""
    names = ", ".join(model.name for model in installed)
    starter = f"local-retab models pull {catalogue.starter.name}"
    if catalogue.get(name):
        message = f"The model {name} is not installed. Install it with `local-retab models pull {name}`."
    elif name in TIER_NAMES and not installed:
        message = f"No model is installed, so {name} means none. Install one with `{starter}`."
    elif name in TIER_NAMES:
        message = f"Only {names} is installed, which {name} does not mean. Install a model with `{starter}`."
    elif installed:
        message = (
            f"There is no model {name}. Installed: {names}. Install others with `local-retab models pull NAME`; "
            f"`local-retab models list` shows the names."
        )
    else:
        message = f"There is no model {name}, and none is installed. Install one with `{starter}`."
    return ModelNotFoundError(message, details={"model": name, "installed": [model.name for model in installed]})
