"""What llama.cpp and mtmd have logged last; without this they write to standard error."""

from __future__ import annotations

import collections
from typing import Any

import llama_cpp

_LOG_WARNING = 3
_LOG_ERROR = 4
_lines: collections.deque[str] = collections.deque(maxlen=40)


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def keep_log(level: int, text: bytes, _user_data: Any) -> None:
    """The callback for the libraries' logs; keeps warnings and errors."""
    if level in (_LOG_WARNING, _LOG_ERROR):
        _lines.append(text.decode("utf-8", "replace").strip())


def clear_log() -> None:
    _lines.clear()


def last_log() -> str:
    """The last three lines, for an error message."""
    return "; ".join(line for line in list(_lines)[-3:] if line) or "no reason given"
