"""What the store knows of an installed model: ``manifest.json`` beside its files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from local_retab.errors import ModelIntegrityError
from local_retab.weights.catalogue import FileName, ModelEntry, ModelName, Role, Sha256, Size

MANIFEST = "manifest.json"


class InstalledFile(BaseModel):
    """A file of an installed model; ``size`` in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role
    filename: FileName
    size: Size
    sha256: Sha256


class Manifest(BaseModel):
    """The record of one installation. ``source`` says in words where the files came from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ModelName
    files: tuple[InstalledFile, ...] = Field(min_length=1)
    source: str
    installed_at: datetime

    @model_validator(mode="after")
    def _check_roles(self) -> Self:
        if sorted(file.role for file in self.files) not in (["model"], ["model", "projector"]):
            raise ValueError("an installed model is a model file, with or without a projector")
        return self

    def file(self, role: Role) -> InstalledFile | None:
        return next((file for file in self.files if file.role == role), None)


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model on this machine. ``sha256`` is that of the model file; None for a file outside the store."""

    name: str
    path: Path
    projector: Path | None
    sha256: str | None
    entry: ModelEntry | None


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an installed model's folder. Raises ModelIntegrityError when it is not a manifest."""
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise _broken(path, f"{error.error_count()} faults, first: {error.errors()[0]['msg']}") from error
    if manifest.name != folder.name:
        raise _broken(path, f"it is the manifest of {manifest.name}")
    return manifest


def check_sizes(folder: Path, manifest: Manifest) -> None:
    """Raise ModelIntegrityError when a file is missing or not as long as it was."""
    for file in manifest.files:
        path = folder / file.filename
        size = path.stat().st_size if path.is_file() else None
        if size != file.size:
            found = "is missing" if size is None else f"has {size:,} bytes"
            raise damaged(manifest.name, path, f"{found}, not the {file.size:,} bytes that were installed")


def damaged(name: str, path: Path, fault: str) -> ModelIntegrityError:
    """The error for an installed file that is not what was installed."""
    return ModelIntegrityError(
        f"{name}: {path} {fault}. Run `local-retab models remove {name}` and install it again.",
        details={"model": name, "path": str(path)},
    )


def _broken(path: Path, fault: str) -> ModelIntegrityError:
    name = path.parent.name
    return ModelIntegrityError(
        f"{path} is not a usable manifest ({fault}). Run `local-retab models remove {name}` and install it again.",
        details={"model": name, "path": str(path)},
    )
