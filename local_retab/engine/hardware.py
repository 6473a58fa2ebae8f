"""How many cores there are to decode on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def physical_cores() -> int:
    """Physical cores that this process may use: hyper-threads of one core count once, efficiency cores not at all.

    Decoding is bound by memory and by the slowest thread, so a second thread on a core only adds waiting.
    """
    if sys.platform == "darwin":
        return _performance_cores() or os.cpu_count() or 1
    allowed = os.sched_getaffinity(0)
    cores: set[str] = set()
    for cpu in allowed:
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            cores.add(siblings.read_text().strip())
        except OSError:
            return len(allowed)
    return len(cores) or 1


def _performance_cores() -> int | None:
    for name in ("hw.perflevel0.physicalcpu", "hw.physicalcpu"):
        try:
            answer = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, timeout=5, check=True)
            return int(answer.stdout)
        except (OSError, subprocess.SubprocessError, ValueError):
            continue
    return None
