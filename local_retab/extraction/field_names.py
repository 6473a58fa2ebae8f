"""What the names of fields say, and which text of which field is being written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from local_retab.schema.walking import objects_in

_TAIL = 400
"""Bytes of the answer that are looked at: a key, and how a text begins."""
_OPEN = re.compile(rb'(?<!\\)"((?:[^"\\]|\\.)*)"\s*:\s*"([^"\\]*)$', re.DOTALL)
_OPEN_VALUE = re.compile(rb'(?<!\\)"((?:[^"\\]|\\.)*)"\s*:\s*"?((?<=")[^"\\]*|-?[\d.]*)$', re.DOTALL)
_PARTS = re.compile(r"[^\W\d_]?[^\W\d_A-Z]+|[^\W\d_]+")


def open_text(output: bytes | bytearray, token: bytes = b"") -> tuple[str, str]:
    """The key and the begun text at the end of ``output`` and ``token``, JSON that breaks off; empty where there is
    none."""
    return _opened(_OPEN, output, token)


def open_value(output: bytes | bytearray, token: bytes = b"") -> tuple[str, str]:
    """As ``open_text``, also of a number."""
    return _opened(_OPEN_VALUE, output, token)


def has_field(schema: Mapping[str, Any], judge: Callable[[str], bool]) -> bool:
    """Whether ``schema`` has a property with such a name."""
    properties = (node.get("properties") for node in objects_in(schema))
    return any(judge(name) for names in properties if isinstance(names, dict) for name in names)


def words_of(name: str) -> list[str]:
    """The words of a name such as ``vendor_address`` or ``vendorAddress``, in small letters."""
    return [word.casefold() for word in _PARTS.findall(name)]


def _opened(pattern: re.Pattern[bytes], output: bytes | bytearray, token: bytes) -> tuple[str, str]:
    found = pattern.search(bytes(output[-_TAIL:]) + token)
    if found is None:
        return "", ""
    return found[1].decode("utf-8", "ignore"), found[2].decode("utf-8", "ignore")
