"""Which model a file that the user brings is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from local_retab.errors import ModelError, ModelIntegrityError
from local_retab.weights.catalogue import NAME_PATTERN, Catalogue, ModelEntry, Role
from local_retab.weights.files import Progress, sha256_of
from local_retab.weights.gguf import check_gguf
from local_retab.weights.manifest import InstalledFile
from local_retab.weights.resolution import TIER_NAMES, find_file

_STEM_CHARS = 200


def is_name(name: str) -> bool:
    """Whether ``name`` can be the name of an installed model, and so that of a folder."""
    return bool(re.fullmatch(NAME_PATTERN, name)) and not name.endswith(".gguf") and name not in TIER_NAMES


def check_name(name: str) -> None:
    """Raise ModelError when ``name`` cannot be a model's."""
    if not is_name(name):
        raise ModelError(
            f"{name!r} cannot be the name of a model. Use up to 100 lower-case letters, digits, dots, hyphens and "
            f"underscores, a letter or digit first, not .gguf at the end, and none of {', '.join(TIER_NAMES)}.",
            details={"model": name},
        )


def recognise(path: Path, file: InstalledFile, catalogue: Catalogue) -> str:
    """The name of the catalogue's model whose model file this is, else a name made from the filename.

    Raises ModelIntegrityError for a file with the name of a catalogue's file and another size; ``check_files``
    compares the rest.
    """
    for entry in catalogue.models:
        known = entry.file("model")
        if known is None:
            continue
        if known.sha256 == file.sha256:
            return entry.name
        if known.filename == path.name:
            if known.size in (None, file.size):
                return entry.name
            raise ModelIntegrityError(
                f"{path} has the name of a file of {entry.name} and not its size: it may be cut off. "
                f"Copy or download it again; if it is another model, give it a name (`--name`).",
                details={"model": entry.name, "path": str(path)},
            )
    return file.filename.removesuffix(".gguf").lower()[:100]


def stored_filename(filename: str, role: Role) -> str:
    """A filename of letters, digits, dots, hyphens and underscores that ends with .gguf, near to the given one."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", filename.removesuffix(".gguf")).lstrip("._-")[:_STEM_CHARS]
    return f"{stem or role}.gguf"


def describe(role: Role, path: Path, progress: Progress) -> InstalledFile:
    """Check a file to import and give it the name it will have in the store.

    Raises ModelNotFoundError when there is no such file, ModelLoadError when it is not GGUF or of the other role.
    """
    check_gguf(find_file(str(path)), role)
    filename, size = stored_filename(path.name, role), path.stat().st_size
    return InstalledFile(role=role, filename=filename, size=size, sha256=sha256_of(path, progress))


def check_files(name: str, files: Sequence[InstalledFile], entry: ModelEntry | None) -> None:
    """Raise ModelError when the files cannot be one model, or are not what the catalogue has by this name."""
    if len({file.filename for file in files}) < len(files):
        raise ModelError(
            f"{name}: the model and its projector are both called {files[0].filename}. Rename one of them.",
            details={"model": name},
        )
    if entry is None:
        return
    if entry.modality == "vision" and len(files) == 1:
        raise ModelError(
            f"{name} reads images through a projector, a second file. Import it with `--projector FILE`.",
            details={"model": name},
        )
    for file in files:
        known = entry.file(file.role)
        if known and (file.size != (known.size or file.size) or file.sha256 != (known.sha256 or file.sha256)):
            raise ModelIntegrityError(
                f"{file.filename} is not the {file.role} that the catalogue has as {name}. Copy or download it again; "
                f"if it is another model, give it another name (`--name`).",
                details={"model": name, "filename": file.filename},
            )
