"""A model file of the Hugging Face Hub, fetched by the official client (the extra ``huggingface``)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_retab.errors import ModelIntegrityError, ModelPullError

if TYPE_CHECKING:
    from local_retab.weights.catalogue import HuggingFaceSource, ModelFile
    from local_retab.weights.files import Progress


def fetch(source: HuggingFaceSource, file: ModelFile, workspace: Path, progress: Progress) -> Path:
    """Download ``file`` into ``workspace``; its path there. The checksum is left to the caller.

    What came of a download that broke off is kept, and a later call asks for the rest. The client reads the user's
    own settings: HF_TOKEN, HF_ENDPOINT, proxies. Raises ModelPullError, and ModelIntegrityError when the repository
    has a file of another size than the catalogue.
    """
    try:
        import httpx
        from huggingface_hub import errors
    except ImportError as error:
        raise ModelPullError(
            f"{file.filename} comes from the Hugging Face Hub, whose client is not installed. "
            f'Run `pip install "local-retab[huggingface]"`.'
        ) from error
    try:
        return _download(source, file, workspace, progress)
    except errors.GatedRepoError as error:
        raise _failed(
            source,
            file,
            f"its owner asks for consent first. Accept the terms at https://huggingface.co/{source.repository}, "
            f"set HF_TOKEN, and pull again.",
        ) from error
    except (
        errors.RepositoryNotFoundError,
        errors.RevisionNotFoundError,
        errors.RemoteEntryNotFoundError,
    ) as error:
        raise _failed(source, file, "it is not there, or not for you. The repository may have moved.") from error
    except (httpx.HTTPError, ConnectionError, TimeoutError) as error:
        raise _failed(source, file, f"the download broke off ({error}). What came is kept: pull again.") from error
    except OSError as error:
        # The client reports an incomplete file as an OSError without a number; the disk's own errors have one.
        if error.errno is not None:
            raise
        raise _failed(source, file, f"{error}. Pull again.") from error


def _download(source: HuggingFaceSource, file: ModelFile, workspace: Path, progress: Progress) -> Path:
    # Not hf_hub_download, which begins again in every process:
    # https://github.com/huggingface/huggingface_hub/pull/4228
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    facts = get_hf_file_metadata(
        hf_hub_url(source.repository, file.filename, revision=source.revision), library_name="local-retab"
    )
    if file.size and facts.size and file.size != facts.size:
        raise ModelIntegrityError(
            f"{file.filename} of {source.describe()} has {facts.size:,} bytes, where the catalogue has {file.size:,}. "
            f"Nothing was downloaded: its source has changed.",
            details={"repository": source.repository, "filename": file.filename},
        )
    # Named by what the server says of the contents: parts of two versions are never put together.
    version = hashlib.sha256(f"{facts.etag} {facts.commit_hash}".encode()).hexdigest()[:16]
    path = workspace / f"{file.filename}.{version}.partial"
    for other in workspace.glob(f"{file.filename}.*.partial"):
        if other != path:
            other.unlink()
    held = path.stat().st_size if path.exists() else 0
    with path.open("ab" if held <= (facts.size or 0) else "wb") as partial:
        http_get(
            hf_hub_url(source.repository, file.filename, revision=facts.commit_hash or source.revision),
            partial,
            resume_size=partial.tell(),
            headers=build_hf_headers(library_name="local-retab"),
            expected_size=facts.size,
            tqdm_class=_progress_bar(f"downloading {file.filename}", progress),
        )
    return path


def _failed(source: HuggingFaceSource, file: ModelFile, fault: str) -> ModelPullError:
    return ModelPullError(
        f"{file.filename} could not be pulled from {source.describe()}: {fault} "
        f"A copy brought from elsewhere is installed with `local-retab models import FILE`.",
        details={"repository": source.repository, "filename": file.filename},
    )


def _progress_bar(phase: str, progress: Progress) -> type[Any]:
    """A class that the client takes for a progress bar; it draws nothing and calls ``progress``."""
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs["disable"] = True
            super().__init__(*args, **kwargs)
            self._done = int(kwargs.get("initial") or 0)

        def update(self, n: float | None = 1) -> None:
            self._done += int(n or 0)
            progress(phase, self._done, self.total)

    return Bar
