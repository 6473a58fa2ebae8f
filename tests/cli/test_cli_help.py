"""Every command and option is documented, and help is instant."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from scripted_cli import Result

from local_retab import __version__
from local_retab.cli import app
from local_retab.errors import LocalRetabError

Run = Callable[..., Result]
README = Path(__file__).resolve().parents[2] / "README.md"
HEAVY = (
    "numpy",
    "PIL",
    "pypdfium2",
    "llama_cpp",
    "llguidance",
    "outlines",
    "jsonschema",
    "huggingface_hub",
    "fastapi",
    "uvicorn",
    "httpx",
    "sqlite3",
)


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


ALL = dict(commands(typer.main.get_command(app)))


def subclasses(kind: type[LocalRetabError]) -> Iterator[type[LocalRetabError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from subclasses(child)


def test_the_commands() -> None:
    assert {" ".join(path) for path in ALL} == {
        "",
        "extract",
        "batch",
        "doctor",
        "tune",
        "serve",
        "models",
        "models list",
        "models pull",
        "models import",
        "models verify",
        "models remove",
        "models path",
    }


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_and_option_has_help_and_an_example(run: Run, path: tuple[str, ...]) -> None:
    command = ALL[path]
    assert command.help
    assert "Example: local-retab" in command.epilog
    for parameter in command.params:
        assert parameter.help, parameter.name
    result = run(*path, "--help")
    assert (result.code, result.err) == (0, "")
    assert f"Usage: {' '.join(('local-retab', *path))}" in result.out


@pytest.mark.parametrize("path", [path for path in ALL if len(path) == 1], ids=" ".join)
def test_the_readme_has_every_command(path: tuple[str, ...]) -> None:
    assert f"local-retab {path[0]}" in README.read_text(encoding="utf-8")


def test_help_names_every_exit_code(run: Run) -> None:
    text = run("--help").out.replace("\n", " ")
    codes = {kind.exit_code for kind in subclasses(LocalRetabError) if kind is not LocalRetabError}
    assert all(f" {code} " in text for code in codes | {130, 141})


def test_version(run: Run) -> None:
    assert run("--version") == Result(0, f"local-retab {__version__}\n", "")


def test_help_imports_nothing_heavy() -> None:
    program = f"""
import sys
import local_retab
assert not [name for name in {HEAVY} + ("typer", "rich") if name in sys.modules]
from local_retab.cli import app
try:
    app(["extract", "--help"])
except SystemExit:
    pass
sys.exit(",".join(name for name in {HEAVY} if name in sys.modules) or None)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
