"""The real models that some tests run, from the store of whoever runs them; and drafts that do not depend on time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from local_retab.engine.scheduler import Scheduler
from local_retab.settings import Settings
from local_retab.weights import Catalogue, Store


def _installed(name: str) -> Path:
    settings = Settings.from_environment()
    # Where it is not installed, the error has the command that installs it.
    return Store(settings.home / "models", Catalogue.load()).resolve(name, settings).path


def pytest_unconfigure() -> None:
    """Close what llama_cpp opens at import and leaves to the interpreter, which complains of it."""
    module = sys.modules.get("llama_cpp._utils")
    if module is not None:
        module.outnull_file.close()
        module.errnull_file.close()


@pytest.fixture(autouse=True)
def untimed_drafts(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many tokens are drafted follows from the guesses alone, and not from how long calls take on this machine."""
    monkeypatch.setattr(Scheduler, "_learn", lambda self, shares, elapsed: None)


@pytest.fixture(scope="session")
def smol() -> Path:
    """The file of the small model, for tests marked ``smol``."""
    return _installed("smollm2-135m-instruct")


@pytest.fixture(scope="session")
def starter() -> Path:
    """The file of the starter model, for tests marked ``starter``."""
    return _installed("qwen2.5-coder-1.5b-instruct")
