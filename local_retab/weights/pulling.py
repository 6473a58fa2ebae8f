"""From an entry of the catalogue to checked files."""

from __future__ import annotations

from pathlib import Path

from local_retab.errors import ModelIntegrityError, ModelLoadError, ModelPullError
from local_retab.weights import bundled, huggingface, pypi
from local_retab.weights.catalogue import BundledSource, HuggingFaceSource, ModelEntry, ModelFile, PypiSource
from local_retab.weights.files import Progress, sha256_of, sizes_under, sync
from local_retab.weights.gguf import check_gguf
from local_retab.weights.manifest import InstalledFile
from local_retab.weights.staging import Staging


def check_pullable(entry: ModelEntry, trust_unpinned: bool) -> None:
    """Raise ModelPullError for an entry without files, or with unpinned files that the caller does not accept."""
    if not entry.files:
        raise ModelPullError(
            f"{entry.name}: the catalogue does not know the file names of {entry.source.describe()}. Download the "
            f"GGUF file and its projector from there, and run `local-retab models import FILE --projector PROJECTOR "
            f"--name {entry.name}`.",
            details={"model": entry.name},
        )
    if entry.unpinned and not trust_unpinned:
        raise ModelPullError(
            f"{entry.name}: the catalogue has no checksum for {', '.join(entry.unpinned)}, so a download cannot be "
            f"checked. To accept what {entry.source.describe()} sends and record its checksum, run "
            f"`local-retab models pull {entry.name} --trust-first-download`.",
            details={"model": entry.name, "unpinned": entry.unpinned},
        )


def space_needed(entry: ModelEntry, workspace: Path) -> int:
    """The bytes that a pull will still write at most at once, as far as the sizes are known."""
    missing = sum(file.size or 0 for file in entry.files) - sum(sizes_under(workspace))
    # pip holds the wheel on its way twice: as it comes, and where it was told to put it.
    wheels = 2 * (entry.files[0].size or 0) // entry.source.parts if entry.source.kind == "pypi" else 0
    return max(0, missing) + wheels


def pull_file(entry: ModelEntry, file: ModelFile, staging: Staging, progress: Progress) -> InstalledFile:
    """Fetch one file into the staged folder, unless an earlier pull left it there, and check it.

    Raises ModelPullError, or ModelIntegrityError after deleting a file that is not what the catalogue pins.
    """
    path = staging.staged / file.filename
    if not path.exists():
        fetched = _fetch(entry, file, staging.workspace, progress)
        sync(fetched)
        fetched.replace(path)
    size = path.stat().st_size
    digest = sha256_of(path, progress)
    if size != (file.size or size) or digest != (file.sha256 or digest):
        path.unlink()
        raise ModelIntegrityError(
            f"{entry.name}: {file.filename} came with {size:,} bytes and the sha256 {digest}, where the catalogue has "
            f"{_known(file)}. It was deleted. Pull again; if it comes the same, its source has changed: do not use it.",
            details={"model": entry.name, "filename": file.filename, "size": size, "sha256": digest},
        )
    try:
        check_gguf(path, file.role)
    except ModelLoadError:
        path.unlink()
        raise
    return InstalledFile(role=file.role, filename=file.filename, size=size, sha256=digest)


def _fetch(entry: ModelEntry, file: ModelFile, workspace: Path, progress: Progress) -> Path:
    match entry.source:
        case PypiSource():
            return pypi.fetch(entry.source, file, workspace, progress)
        case HuggingFaceSource():
            return huggingface.fetch(entry.source, file, workspace, progress)
        case BundledSource():
            return bundled.fetch(entry.source, file, workspace, progress)


def _known(file: ModelFile) -> str:
    facts = [f"{file.size:,} bytes" if file.size else "", f"the sha256 {file.sha256}" if file.sha256 else ""]
    return " and ".join(fact for fact in facts if fact)
