"""The command line with a store of its own, run in this process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import scripted_cli
from scripted_cli import Inputs, Result

from local_retab.cli import app


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store, and no settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("LOCAL_RETAB_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("LOCAL_RETAB_HOME", str(folder))
    monkeypatch.setenv("LOCAL_RETAB_CHUNKS_PER_SECOND", "1000000")
    monkeypatch.setattr("local_retab.cli.extract.open_service", scripted_cli.scripted_service())
    return folder


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    folder = tmp_path / "inputs"
    folder.mkdir()
    found = Inputs(folder, folder / "invoice.txt", folder / "schema.json", folder / "model.gguf")
    found.document.write_text("Invoice INV-1, total 12.50")
    found.schema.write_text(json.dumps(scripted_cli.SCHEMA))
    found.model.write_bytes(scripted_cli.GGUF_HEAD)
    return found


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run the command line; neither stream is a terminal."""

    def invoke(*arguments: object) -> Result:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            app([str(argument) for argument in arguments], prog_name="local-retab")
        out, err = capfd.readouterr()
        return Result(int(end.value.code or 0), out, err)

    return invoke
