from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sample_models import catalogue, gguf, make_wheel

from local_retab.settings import Settings
from local_retab.weights import Store


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "home" / "models"


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
def make_store(root: Path) -> Callable[..., Store]:
    def make(*entries: dict[str, Any]) -> Store:
        return Store(root, catalogue(*entries))

    return make


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Write a file outside the store."""

    def write_file(name: str, data: bytes) -> Path:
        path = tmp_path / "outside" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path

    return write_file


@pytest.fixture
def add(make_store: Callable[..., Store], write: Callable[[str, bytes], Path]) -> Callable[[Store, str], None]:
    """Put a small model into a store under a name."""

    def add_model(store: Store, name: str) -> None:
        store.import_model(write(f"{name}.gguf", gguf(name.encode())), name=name)

    return add_model


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Sequence[bytes]], Path]:
    """Make wheels of the pieces of a model, in a folder that is all that pip can see."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))

    def make(name: str, pieces: Sequence[bytes]) -> Path:
        for part, piece in enumerate(pieces, start=1):
            make_wheel(folder, name, part, piece)
        return folder

    return make
