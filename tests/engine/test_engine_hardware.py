"""Counting cores on machines that are not this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local_retab.engine import hardware
from local_retab.engine.hardware import physical_cores

Machine = Callable[[dict[int, str], set[int]], None]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A Linux machine: the siblings of each CPU, and the CPUs that the process may use."""

    def make(siblings: dict[int, str], allowed: set[int]) -> None:
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: allowed, raising=False)
        monkeypatch.setattr(hardware, "Path", lambda path: tmp_path / path.lstrip("/"))
        for cpu, text in siblings.items():
            folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology"
            folder.mkdir(parents=True)
            (folder / "thread_siblings_list").write_text(text + "\n")

    return make


def test_there_is_one_at_least_and_no_more_than_the_process_may_use() -> None:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    assert 1 <= physical_cores() <= usable


def test_threads_of_one_core_count_once(machine: Machine) -> None:
    machine({0: "0,4", 1: "1,5", 2: "2,6", 3: "3,7", 4: "0,4", 5: "1,5", 6: "2,6", 7: "3,7"}, set(range(8)))
    assert physical_cores() == 4


def test_only_cores_that_the_process_may_use_count(machine: Machine) -> None:
    machine({0: "0,4", 1: "1,5", 4: "0,4", 5: "1,5"}, {0, 4})
    assert physical_cores() == 1


def test_without_a_topology_every_cpu_is_a_core(machine: Machine) -> None:
    machine({}, {0, 1, 2})
    assert physical_cores() == 3


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """A Mac whose sysctl knows these names."""

    def make(known: dict[str, str]) -> None:
        def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
            if command[-1] not in known:
                raise subprocess.CalledProcessError(1, command)
            return subprocess.CompletedProcess(command, 0, stdout=known[command[-1]])

        monkeypatch.setattr(sys, "platform", "darwin")
        monkeypatch.setattr(subprocess, "run", run)
        monkeypatch.setattr(os, "cpu_count", lambda: 10)

    return make


def test_on_a_mac_performance_cores_count(mac: Callable[[dict[str, str]], None]) -> None:
    mac({"hw.perflevel0.physicalcpu": "6\n", "hw.physicalcpu": "10\n"})
    assert physical_cores() == 6


def test_on_a_mac_with_one_kind_of_core_all_count(mac: Callable[[dict[str, str]], None]) -> None:
    mac({"hw.physicalcpu": "8\n"})
    assert physical_cores() == 8


def test_on_a_mac_that_says_nothing_cpus_count(mac: Callable[[dict[str, str]], None]) -> None:
    mac({"hw.physicalcpu": "many\n"})
    assert physical_cores() == 10
