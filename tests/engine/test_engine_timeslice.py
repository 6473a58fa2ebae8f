"""The slice of a decoding thread, as the system itself says it."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading

import pytest

from local_retab.engine.timeslice import ATTRIBUTES, SLICE_NANOSECONDS, lengthen_slice

GET_ATTRIBUTES = {"x86_64": 315, "aarch64": 275}


def attributes() -> tuple[int, int, int]:
    """Policy, niceness and slice of this thread."""
    buffer = ctypes.create_string_buffer(ATTRIBUTES.size)
    assert ctypes.CDLL(None).syscall(GET_ATTRIBUTES[platform.machine()], 0, buffer, ATTRIBUTES.size, 0) == 0
    _, policy, _, nice, _, runtime, _, _ = ATTRIBUTES.unpack(buffer.raw)
    return policy, nice, runtime


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() not in GET_ATTRIBUTES, reason="only Linux has it")
def test_a_thread_and_those_it_starts_get_the_slice_and_nothing_else_changes() -> None:
    seen: list[tuple[int, int, int]] = []

    def look() -> None:
        seen.append(attributes())

    def decode() -> None:
        os.setpriority(os.PRIO_PROCESS, 0, nice + 1)
        look()
        lengthen_slice()
        look()
        child = threading.Thread(target=look)
        child.start()
        child.join()

    policy, nice, before = attributes()
    thread = threading.Thread(target=decode)
    thread.start()
    thread.join()
    if not seen[0][2]:
        pytest.skip("Linux before 6.12 has one slice for all")
    after = (policy, nice + 1, SLICE_NANOSECONDS)
    assert seen == [(policy, nice + 1, before), after, after]
    assert attributes() == (policy, nice, before)


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: pytest.fail("no system call is known there"))
    lengthen_slice()
