"""The public names, and how little it takes to import them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import local_retab

PUBLIC = [
    "AsyncExtractionStream",
    "AsyncRetab",
    "Extraction",
    "ExtractionChunk",
    "ExtractionStream",
    "FileRef",
    "LocalRetabError",
    "MIMEData",
    "Retab",
    "Settings",
    "__version__",
    "sdk_transport",
]
HEAVY = {
    "PIL", "huggingface_hub", "jinja2", "jsonschema", "llama_cpp", "llguidance", "numpy", "outlines", "pillow_heif",
    "pydantic", "pypdfium2", "rich", "typer",
}  # fmt: skip


def test_the_public_names_are_these() -> None:
    assert local_retab.__all__ == PUBLIC
    assert dir(local_retab) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_each_can_be_had_and_is_defined_in_the_package(name: str) -> None:
    found = getattr(local_retab, name)
    if name != "__version__":
        assert found.__name__ == name
        assert found.__module__.startswith("local_retab.")


def test_a_star_import_gives_all_of_them() -> None:
    names: dict[str, object] = {}
    exec("from local_retab import *", names)
    assert set(PUBLIC) <= names.keys()


def test_other_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="'local_retab' has no attribute 'Retabb'"):
        local_retab.Retabb  # noqa: B018


def loaded_by(statement: str) -> set[str]:
    """The heavy packages that a fresh interpreter has loaded after a statement."""
    script = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    root = Path(local_retab.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, check=True, capture_output=True, text=True, timeout=60
    )
    return HEAVY.intersection(json.loads(done.stdout))


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import local_retab") == set()


def test_errors_load_nothing_heavy() -> None:
    assert loaded_by("from local_retab import LocalRetabError") == set()


def test_importing_the_client_loads_no_native_engine() -> None:
    native = {"PIL", "huggingface_hub", "llama_cpp", "llguidance", "numpy", "outlines", "pillow_heif", "pypdfium2"}
    assert native & loaded_by("from local_retab import Retab, AsyncRetab, MIMEData, Settings") == set()
