"""How a model enters and leaves the store: built in a folder beside it, then renamed into its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from local_retab.weights.files import Progress, delete_tree, sync, write_text
from local_retab.weights.lock import exclusive
from local_retab.weights.manifest import MANIFEST, InstalledFile, Manifest


class Staging:
    """The folders of one model name. ``staged`` takes complete files, ``workspace`` what leads to them.

    All are on one file system, so that a rename moves a model from one to the other at once.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self.folder = root / name
        self.workspace = root / ".partial" / name
        self.staged = self.workspace / "files"
        self._lock = root / ".locks" / name

    @contextmanager
    def locked(self, progress: Progress) -> Iterator[None]:
        """Keep other processes from changing this model."""
        with exclusive(self._lock, progress):
            yield

    def install(self, files: Sequence[InstalledFile], source: str) -> Manifest:
        """Put the staged files in their place, in that of an earlier installation if there is one."""
        names = {file.filename for file in files}
        for path in self.staged.iterdir():
            # Left by a pull that broke off before the catalogue changed.
            if path.name not in names:
                delete_tree(path)
        manifest = Manifest(name=self.name, files=tuple(files), source=source, installed_at=datetime.now(UTC))
        write_text(self.staged / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
        sync(self.staged)
        if self.folder.exists():
            self.folder.rename(self._empty("replaced"))
        self.staged.rename(self.folder)
        sync(self.folder.parent)
        delete_tree(self.workspace)
        return manifest

    def remove(self) -> None:
        """Take an installed model out of its place at once, then delete it and all that is under way."""
        if self.folder.exists():
            self.workspace.mkdir(parents=True, exist_ok=True)
            self.folder.rename(self._empty("removed"))
            sync(self.folder.parent)
        delete_tree(self.workspace)

    def _empty(self, name: str) -> Path:
        """A free path in the workspace; what a crash left there goes."""
        path = self.workspace / name
        delete_tree(path)
        return path
