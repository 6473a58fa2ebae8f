"""A model file that ships with this package."""

from __future__ import annotations

from pathlib import Path

from local_retab.errors import ModelPullError
from local_retab.weights.catalogue import BundledSource, ModelFile, data_folder
from local_retab.weights.files import Progress, copy_file


def fetch(source: BundledSource, file: ModelFile, workspace: Path, progress: Progress) -> Path:
    """Copy ``file`` to ``workspace``; its path there. The checksum is left to the caller.

    Raises ModelPullError when this installation lacks the file.
    """
    shipped = data_folder() / source.folder / file.filename
    if not shipped.is_file():
        raise ModelPullError(
            f"{shipped}: this file of local-retab is missing. Reinstall local-retab.", details={"path": str(shipped)}
        )
    copy = workspace / file.filename
    copy_file(shipped, copy, progress)
    return copy
