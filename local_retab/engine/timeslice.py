"""Long time slices for the threads that decode: they fill the processors, and whoever wakes up beside them goes first.

Linux runs next what has the earliest virtual deadline, and a thread that has a longer slice has a later one. Its share
of the processors stays as it is. See sched_setattr(2) and Documentation/scheduler/sched-eevdf.rst in the kernel.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

SLICE_NANOSECONDS = 100_000_000
"""The longest that Linux gives; the usual one is 1.4 to 3 ms."""
SET_ATTRIBUTES = {"x86_64": 314, "aarch64": 274}
"""Numbers of the system call, which few C libraries have a function for."""
ATTRIBUTES = struct.Struct("=IIQiIQQQ")
"""struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period."""


def lengthen_slice() -> None:
    """Give the calling thread, and those that it starts from now on, the longest slice.

    Linux before 6.12 takes no notice; on other systems, and where a sandbox forbids it, nothing changes.
    """
    number = SET_ATTRIBUTES.get(platform.machine())
    if sys.platform != "linux" or number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = ATTRIBUTES.pack(ATTRIBUTES.size, os.SCHED_OTHER, 0, nice, 0, SLICE_NANOSECONDS, 0, 0)
    ctypes.CDLL(None).syscall(number, 0, attributes, 0)
