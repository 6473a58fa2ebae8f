"""``local-retab doctor``, and what it reads from the system."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_cli import Inputs, Result

from local_retab.cli.machine import Memory, memory, parse_meminfo, parse_vm_stat
from local_retab.engine.devices import Gpu, gpus
from local_retab.engine.hardware import physical_cores
from local_retab.engine.kernels import Kernels
from local_retab.engine.llama import supports_gpu
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


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    """A GPU with little free memory."""
    found = Gpu("Some GPU", total=8 * 2**30, free=2**30 + 23)
    monkeypatch.setattr("local_retab.engine.llama.supports_gpu", lambda: True)
    monkeypatch.setattr("local_retab.engine.devices.gpus", lambda: [found])
    return found


def test_on_a_gpu_it_is_named_and_a_model_has_to_fit_there(
    run: Run, inputs: Inputs, gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("models", "import", inputs.model, "--name", "mine").code == 0

    def mine(report: dict[str, Any]) -> dict[str, Any]:
        return next(fit for fit in report["models"] if fit["name"] == "mine")

    report = json.loads(run("doctor", "--json").out)
    assert report["backend"] == {
        "device": "gpu",
        "gpu_layers": -1,
        "gpus": [{"name": "Some GPU", "total": 8 * 2**30, "free": 2**30 + 23}],
        "threads": physical_cores(),
        "prefill_chunk_tokens": 512,
        "flash_attention": True,
        "kernels": None,
    }
    assert mine(report)["fits"] is False  # 24 bytes, and a GiB to work in
    lines = run("doctor").out.splitlines()
    assert any(line.startswith("  llama.cpp ") and " gpu with all layers, " in line for line in lines)
    assert any(line.split(maxsplit=1) == ["GPU", "Some GPU, 8.6 GB, 1.1 GB available"] for line in lines)
    # With only some layers there, main memory holds the others.
    monkeypatch.setenv("LOCAL_RETAB_GPU_LAYERS", "3")
    assert mine(json.loads(run("doctor", "--json").out))["fits"] is True
    assert " gpu with 3 layers, " in run("doctor").out
    monkeypatch.setenv("LOCAL_RETAB_GPU_LAYERS", "0")
    report = json.loads(run("doctor", "--json").out)
    assert (report["backend"]["device"], report["backend"]["gpus"], mine(report)["fits"]) == ("cpu", [], True)


def test_the_kernels_for_the_processor_are_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_retab.engine.kernels.kernels", lambda: Kernels("AVX2", 0, None))
    assert json.loads(run("doctor", "--json").out)["backend"]["kernels"] == "AVX2"
    assert any(line.split(maxsplit=1) == ["products", "own kernels (AVX2)"] for line in run("doctor").out.splitlines())
    monkeypatch.setattr("local_retab.engine.kernels.kernels", lambda: None)
    assert any(line.split(maxsplit=1) == ["products", "llama.cpp's"] for line in run("doctor").out.splitlines())


def test_the_gpus_are_those_that_the_library_sees() -> None:
    assert bool(gpus()) == supports_gpu()
    for found in gpus():
        assert 0 < found.free <= found.total
        assert found.name


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
