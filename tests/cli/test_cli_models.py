"""``local-retab models`` on a store in a temporary folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted_cli import GGUF_HEAD, Inputs, Result

from local_retab.weights import Catalogue, InstalledModel, Store

Run = Callable[..., Result]
STARTER = "qwen2.5-coder-1.5b-instruct"


@pytest.fixture
def installed(run: Run, inputs: Inputs, home: Path) -> Path:
    """A model imported as ``mine``; the path of its file."""
    result = run("models", "import", inputs.model, "--name", "mine")
    folder = home / "models" / "mine"
    assert result == Result(0, "", f"mine: installed in {folder}\n")
    return folder / "model.gguf"


def test_list_has_the_catalogue_and_what_is_installed(run: Run, installed: Path) -> None:
    result = run("models", "list")
    assert (result.code, result.err) == (0, "")
    header, *rows = result.out.splitlines()
    assert header.split() == ["NAME", "TIER", "SIZE", "LICENCE", "READS", "INSTALLED"]
    assert [row.split()[0] for row in rows] == [*(entry.name for entry in Catalogue.load().models), "mine"]
    assert rows[0].split() == [STARTER, "starter", "1.1", "GB", "Apache-2.0", "text", "no"]
    assert rows[-1].split() == ["mine", "-", "24", "bytes", "unknown", "text", "yes"]


def test_list_as_json(run: Run, installed: Path) -> None:
    rows = json.loads(run("models", "list", "--json").out)
    assert rows[-1] == {
        "name": "mine",
        "title": "mine",
        "tier": None,
        "size": len(GGUF_HEAD),
        "licence": None,
        "reads": "text",
        "installed": True,
    }


def test_path(run: Run, installed: Path) -> None:
    assert run("models", "path", "mine") == Result(0, f"{installed}\n", "")
    assert run("models", "path", "retab-small") == Result(0, f"{installed}\n", "")


def test_the_installed_model_extracts(run: Run, inputs: Inputs, installed: Path) -> None:
    result = run("extract", inputs.document, "--schema", inputs.schema, "--json")
    assert (result.code, result.err) == (0, "")


def test_verify_reads_all_and_goes_on_after_a_fault(run: Run, inputs: Inputs, installed: Path) -> None:
    inputs.model.write_bytes(GGUF_HEAD + b"2")
    assert run("models", "import", inputs.model, "--name", "other").code == 0
    assert run("models", "verify", "mine") == Result(0, "mine: ok\n", "")
    assert sorted(run("models", "verify").out.splitlines()) == ["mine: ok", "other: ok"]
    installed.chmod(0o644)
    installed.write_bytes(GGUF_HEAD[:-1] + b"\1")
    result = run("models", "verify")
    assert (result.code, result.out) == (5, "other: ok\n")
    assert result.err.startswith("error: mine")


def test_remove_asks_or_wants_yes(run: Run, installed: Path) -> None:
    result = run("models", "remove", "mine")
    assert (result.code, result.out) == (2, "")
    assert result.err == "error: mine: nobody can be asked whether to delete it. Add --yes.\n"
    assert installed.exists()
    assert run("models", "remove", "mine", "--yes") == Result(0, "", "mine: removed\n")
    assert not installed.exists()


@pytest.mark.parametrize("command", ["path", "verify"])
def test_a_model_that_is_not_installed_is_an_error_with_the_command(run: Run, command: str) -> None:
    result = run("models", command, STARTER)
    assert (result.code, result.out) == (5, "")
    assert f"local-retab models pull {STARTER}" in result.err


def test_removing_what_is_not_installed_ends_with_5(run: Run) -> None:
    assert run("models", "remove", STARTER, "--yes").code == 5


def test_pull_says_whether_it_fetched(run: Run, installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = InstalledModel("mine", installed, None, None, None)
    asked: list[bool] = []

    def pull(_store: Store, name: str, progress: Callable[..., None], trust_unpinned: bool) -> InstalledModel:
        assert name == "mine"
        asked.append(trust_unpinned)
        if trust_unpinned:
            progress("downloading", 1, None)
        return model

    monkeypatch.setattr(Store, "pull", pull)
    assert run("models", "pull", "mine").err == f"mine: already installed in {installed.parent}\n"
    assert run("models", "pull", "mine", "--trust-first-download").err == f"mine: installed in {installed.parent}\n"
    assert asked == [False, True]


def test_pulling_an_unknown_model_ends_with_5(run: Run) -> None:
    result = run("models", "pull", "no-such-model")
    assert (result.code, result.out) == (5, "")
    assert result.err.startswith("error: ")
