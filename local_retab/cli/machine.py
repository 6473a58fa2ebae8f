"""How much memory this machine has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of main memory: in all, and free or easily freed; None where the system does not say."""

    total: int | None
    available: int | None


def memory() -> Memory:
    """The memory of this machine."""
    if sys.platform == "darwin":
        return Memory(_physical(), parse_vm_stat(_vm_stat()))
    try:
        return parse_meminfo(Path("/proc/meminfo").read_text())
    except OSError:
        return Memory(_physical(), None)


def parse_meminfo(text: str) -> Memory:
    """Linux's ``/proc/meminfo``, which counts in KiB."""
    values = {name: int(amount) * 1024 for name, amount in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
    return Memory(values.get("MemTotal"), values.get("MemAvailable"))


def parse_vm_stat(text: str) -> int | None:
    """Bytes in pages that macOS's ``vm_stat`` counts as free, inactive, speculative or purgeable."""
    size = re.search(r"page size of (\d+) bytes", text)
    pages = re.findall(r"^Pages (?:free|inactive|speculative|purgeable):\s+(\d+)\.$", text, re.MULTILINE)
    return sum(map(int, pages)) * int(size[1]) if size and pages else None


def _vm_stat() -> str:
    try:
        return subprocess.run(["vm_stat"], capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _physical() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None
