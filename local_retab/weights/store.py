"""The models on this machine: one folder each, with its files and a manifest.

::

    <root>/NAME/manifest.json, *.gguf     an installed model, there as a whole or not at all
    <root>/.partial/NAME/                 a pull or import that is under way or broke off
    <root>/.locks/NAME                    held by the process that changes NAME
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from local_retab.errors import (
    ModelError,
    ModelIntegrityError,
    ModelNotFoundError,
    ModelPullError,
    SettingsError,
)
from local_retab.weights.catalogue import Catalogue, ModelEntry, Role
from local_retab.weights.files import (
    Progress,
    check_space,
    copy_file,
    delete_tree,
    file_errors,
    sha256_of,
    silent,
)
from local_retab.weights.importing import check_files, check_name, describe, is_name, recognise
from local_retab.weights.manifest import (
    MANIFEST,
    InstalledFile,
    InstalledModel,
    Manifest,
    check_sizes,
    damaged,
    read_manifest,
)
from local_retab.weights.pulling import check_pullable, pull_file, space_needed
from local_retab.weights.resolution import (
    TIER_NAMES,
    best_of_tier,
    configured,
    is_path,
    not_installed,
    resolve_path,
)
from local_retab.weights.staging import Staging

if TYPE_CHECKING:
    from local_retab.settings import Settings


class Store:
    """The models under ``root``. Several processes can use one store at once.

    Every method raises ModelError when the store cannot be read or written. Only ``pull`` opens a connection.
    """

    def __init__(self, root: Path, catalogue: Catalogue) -> None:
        self.root = root
        self.catalogue = catalogue

    def installed(self) -> list[InstalledModel]:
        """The installed models, the newest first. Raises ModelIntegrityError for a manifest that cannot be read."""
        with file_errors(ModelError, "The models", self.root):
            manifests = sorted(self._manifests(), key=lambda manifest: manifest.installed_at, reverse=True)
        return [self._model(manifest) for manifest in manifests]

    def resolve(self, name: str, settings: Settings) -> InstalledModel:
        """The model that ``name`` means: a path to a GGUF file, an installed model, or a tier (``retab-small``).

        A tier means the model that the settings name, else the best installed (see ``best_of_tier``).
        Raises ModelNotFoundError with the command that installs one, ModelIntegrityError when files are missing or
        not as long as they were, ModelLoadError for a path to a file that is not GGUF.
        """
        tier = TIER_NAMES.get(name)
        if tier is None:
            return self._exact(name)
        choice = configured(tier, settings)
        if choice in TIER_NAMES:
            raise SettingsError(f"LOCAL_RETAB_MODEL_{tier.upper()}: {choice} is a tier too. Name a model or a file.")
        if choice is not None:
            try:
                return self._exact(choice)
            except ModelNotFoundError as error:
                message = f"{name} is set to {choice} by LOCAL_RETAB_MODEL_{tier.upper()}. {error.message}"
                raise ModelNotFoundError(message, details=error.details) from error
        installed = self.installed()
        best = best_of_tier(tier, installed, self.catalogue)
        if best is None:
            raise not_installed(name, installed, self.catalogue)
        return self._exact(best.name)

    def pull(self, name: str, progress: Progress = silent, trust_unpinned: bool = False) -> InstalledModel:
        """Download a model of the catalogue, unless it is installed. A pull that broke off goes on where it was.

        ``trust_unpinned`` accepts files whose checksum the catalogue does not have, and records the one they have.
        Raises ModelNotFoundError (not in the catalogue), ModelPullError, and ModelIntegrityError after deleting
        bytes that differ from their pinned size or checksum.
        """
        entry = self.catalogue.get(name)
        if entry is None:
            known = ", ".join(model.name for model in self.catalogue.models)
            raise ModelNotFoundError(
                f"The catalogue has no model {name}. It has: {known}. A GGUF file of your own is installed with "
                f"`local-retab models import FILE`.",
                details={"model": name},
            )
        staging = Staging(self.root, name)
        with file_errors(ModelPullError, name, self.root), staging.locked(progress):
            present = self._present(entry)
            if present:
                return present
            check_pullable(entry, trust_unpinned)
            check_space(ModelPullError, name, self.root, space_needed(entry, staging.workspace))
            staging.staged.mkdir(parents=True, exist_ok=True)
            files = [pull_file(entry, file, staging, progress) for file in entry.files]
            return self._model(staging.install(files, entry.source.describe()))

    def import_model(
        self,
        path: Path,
        *,
        name: str | None = None,
        projector: Path | None = None,
        progress: Progress = silent,
    ) -> InstalledModel:
        """Copy a GGUF file, and the projector that a vision model needs, into the store.

        Without ``name`` the file is recognised as a model of the catalogue by its checksum (or, where that is not
        known, by filename and size), else it is named after its filename.
        Raises ModelNotFoundError (no such file), ModelLoadError (not GGUF), ModelIntegrityError (not the file that
        the catalogue has by this name) and ModelError (a bad name, or one that another model has).
        """
        sources: dict[Role, Path] = {"model": path}
        if projector is not None:
            sources["projector"] = projector
        with file_errors(ModelError, path.name, self.root):
            files = [describe(role, source, progress) for role, source in sources.items()]
            name = name or recognise(path, files[0], self.catalogue)
            check_name(name)
            check_files(name, files, self.catalogue.get(name))
            staging = Staging(self.root, name)
            with staging.locked(progress):
                if (staging.folder / MANIFEST).exists():
                    return self._same(read_manifest(staging.folder), files)
                delete_tree(staging.workspace)
                staging.staged.mkdir(parents=True)
                check_space(ModelError, name, self.root, sum(file.size for file in files))
                for file in files:
                    if copy_file(sources[file.role], staging.staged / file.filename, progress) != file.sha256:
                        delete_tree(staging.workspace)
                        raise ModelIntegrityError(
                            f"{sources[file.role]} changed while it was copied. The copy was deleted: import it again.",
                            details={"model": name},
                        )
                return self._model(staging.install(files, f"import {path.name}"))

    def verify(self, name: str, progress: Progress = silent) -> InstalledModel:
        """Read every byte of an installed model again; nothing is changed.

        Raises ModelIntegrityError naming the first file that is not what was installed or what the catalogue has,
        ModelNotFoundError when the model is not installed.
        """
        with file_errors(ModelError, name, self.root):
            manifest = self._manifest(name)
            model = self._model(manifest)
            check_sizes(self.root / name, manifest)
            for file in manifest.files:
                pinned = model.entry.file(file.role) if model.entry else None
                expected = (pinned.sha256 if pinned else None) or file.sha256
                found = sha256_of(self.root / name / file.filename, progress)
                if found != expected:
                    raise damaged(name, self.root / name / file.filename, f"has the sha256 {found}, not {expected}")
        return model

    def remove(self, name: str) -> None:
        """Delete an installed model, and what a pull of it that broke off has left.

        Raises ModelNotFoundError when there is neither.
        """
        check_name(name)
        staging = Staging(self.root, name)
        with file_errors(ModelError, name, self.root), staging.locked(silent):
            if not (staging.folder / MANIFEST).exists() and not staging.workspace.exists():
                raise not_installed(name, self.installed(), self.catalogue)
            staging.remove()

    def _manifests(self) -> Iterator[Manifest]:
        if not self.root.exists():
            return
        for folder in self.root.iterdir():
            if is_name(folder.name):
                try:
                    yield read_manifest(folder)
                except (FileNotFoundError, NotADirectoryError):
                    # Not a model's folder, or one that another process has just removed.
                    continue

    def _manifest(self, name: str) -> Manifest:
        if is_name(name):
            try:
                return read_manifest(self.root / name)
            except (FileNotFoundError, NotADirectoryError):
                pass
        raise not_installed(name, self.installed(), self.catalogue)

    def _exact(self, name: str) -> InstalledModel:
        """The model of a path or of a name that is not a tier."""
        with file_errors(ModelError, name, self.root):
            if is_path(name):
                return resolve_path(name, self.catalogue)
            manifest = self._manifest(name)
            check_sizes(self.root / name, manifest)
            return self._model(manifest)

    def _present(self, entry: ModelEntry) -> InstalledModel | None:
        """The installed model when it is what ``entry`` says; None when it has to be pulled, also to repair it."""
        try:
            manifest = read_manifest(self.root / entry.name)
            check_sizes(self.root / entry.name, manifest)
        except (FileNotFoundError, NotADirectoryError, ModelIntegrityError):
            return None
        for file in entry.files:
            found = manifest.file(file.role)
            if found is None or found.sha256 != (file.sha256 or found.sha256):
                return None
        return self._model(manifest)

    def _model(self, manifest: Manifest) -> InstalledModel:
        folder = self.root / manifest.name
        model, projector = manifest.file("model"), manifest.file("projector")
        assert model is not None, "Manifest checks that there is one"
        entry = self.catalogue.get(manifest.name)
        beside = folder / projector.filename if projector else None
        return InstalledModel(manifest.name, folder / model.filename, beside, model.sha256, entry)

    def _same(self, manifest: Manifest, files: list[InstalledFile]) -> InstalledModel:
        """The installed model when it has just these files. Raises ModelError when it is another or damaged."""
        if {file.sha256 for file in manifest.files} != {file.sha256 for file in files}:
            raise ModelError(
                f"Another model is installed as {manifest.name}. Give this one another name (`--name`), or run "
                f"`local-retab models remove {manifest.name}` first.",
                details={"model": manifest.name},
            )
        check_sizes(self.root / manifest.name, manifest)
        return self._model(manifest)
