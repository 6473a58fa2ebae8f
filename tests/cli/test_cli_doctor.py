"""``local-retab doctor``, and what it reads from the system."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted_cli import Inputs, Result

from local_retab.cli.machine import Memory, memory, parse_meminfo, parse_vm_stat
from local_retab.settings import Settings

Run = Callable[..., Result]


def test_an_empty_store_is_a_problem_with_its_remedy(run: Run) -> None:
    result = run("doctor", "--json")
    report = json.loads(result.out)
    assert result.code == 5
    assert report["default_model"] is None
    assert len(report["problems"]) == 1
    assert result.err == f"error: {report['problems'][0]}\n"
    assert "local-retab models pull " in result.err


def test_with_a_model_all_is_well(run: Run, inputs: Inputs, home: Path) -> None:
    assert run("models", "import", inputs.model, "--name", "mine").code == 0
    result = run("doctor", "--json")
    report = json.loads(result.out)
    assert (result.code, result.err) == (0, "")
    assert report["default_model"] == "mine"
    assert report["store"] == str(home / "models")
    assert report["disk_free"] > 0
    assert report["backend"]["threads"] >= 1
    assert report["versions"]["llama-cpp-python"] == "0.3.36"
    assert {"name": "mine", "installed": True, "size": 24, "fits": True} in report["models"]
    assert set(report["settings"]) == set(Settings.model_fields)


def test_for_people_it_lists_every_setting_and_ends_with_a_verdict(run: Run, inputs: Inputs) -> None:
    assert run("doctor").out.splitlines()[-1] == "Not ready:"
    assert run("models", "import", inputs.model, "--name", "mine").code == 0
    result = run("doctor")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[-1] == "Ready: an extraction can run."
    for name in Settings.model_fields:
        assert f"  LOCAL_RETAB_{name.upper()} " in result.out


def test_a_broken_llama_cpp_is_a_problem(run: Run, inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> bool:
        raise OSError("libllama.so: wrong ELF class")

    assert run("models", "import", inputs.model, "--name", "mine").code == 0
    monkeypatch.setattr("local_retab.engine.llama.supports_gpu", broken)
    result = run("doctor")
    assert result.code == 70
    assert "llama.cpp       cannot be loaded" in result.out
    assert result.err.startswith("error: llama.cpp cannot be loaded: libllama.so: wrong ELF class.")


def test_meminfo_counts_in_kib() -> None:
    text = "MemTotal:       2048 kB\nMemFree:  1 kB\nMemAvailable:   1024 kB\nHugePages_Total:       0\n"
    assert parse_meminfo(text) == Memory(2 * 1024**2, 1024**2)
    assert parse_meminfo("") == Memory(None, None)


def test_vm_stat_counts_in_pages() -> None:
    text = (
        "Mach Virtual Memory Statistics: (page size of 16384 bytes)\n"
        "Pages free:                               10.\n"
        "Pages active:                            999.\n"
        "Pages inactive:                            5.\n"
        "Pages speculative:                         1.\n"
        "Pages purgeable:                           4.\n"
    )
    assert parse_vm_stat(text) == 20 * 16384
    assert parse_vm_stat("") is None


def test_this_machine_has_memory() -> None:
    found = memory()
    assert found.total is not None
    assert found.total > 2**28
