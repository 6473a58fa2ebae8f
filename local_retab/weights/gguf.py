"""The head of a GGUF file: enough to tell a model file from anything else, and from a projector.

Source of the layout: the GGUF specification of ggml (``docs/gguf.md``): magic ``GGUF``, version as uint32, number of
tensors and number of metadata entries as uint64, all little-endian; then the entries, each a text (length as uint64,
bytes), the type of its value as uint32, and the value.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from local_retab.errors import ModelLoadError

if TYPE_CHECKING:
    from local_retab.weights.catalogue import Role

_HEAD = struct.Struct("<4sIQQ")
_VERSIONS = (2, 3)
_ARCHITECTURE = b"general.architecture"
_TEXT = 8
_PROJECTOR = b"clip"
_LONGEST_NAME = 64


def check_gguf(path: Path, role: Role | None = None) -> None:
    """Raise ModelLoadError naming the cause when the file is not a GGUF file of a version that llama.cpp reads.

    With a ``role`` also when it says of itself that it is the other file of a pair.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD.size)
        architecture = _architecture(file)
    fault = _fault(head)
    if fault is None and architecture is not None and role is not None:
        fault = _mistaken(architecture, role)
    if fault:
        raise ModelLoadError(f"{path.name} is not a usable GGUF file: {fault}", details={"path": str(path)})


def _architecture(file: BinaryIO) -> bytes | None:
    """The value of the first entry where it is the architecture, which converters write first; else None."""
    try:
        if _text(file) != _ARCHITECTURE or int.from_bytes(file.read(4), "little") != _TEXT:
            return None
        return _text(file)
    except ValueError:
        return None


def _text(file: BinaryIO) -> bytes:
    length = int.from_bytes(file.read(8), "little")
    if length > _LONGEST_NAME:
        raise ValueError
    return file.read(length)


def _mistaken(architecture: bytes, role: Role) -> str | None:
    if role == "model" and architecture == _PROJECTOR:
        return (
            "it is an image projector (mmproj), which reads nothing alone. Give the language model's file; "
            "`local-retab models import MODEL --projector PROJECTOR` installs the two together."
        )
    if role == "projector" and architecture != _PROJECTOR:
        return "it is a language model, not an image projector. Give the mmproj file that belongs to the model."
    return None


def _fault(head: bytes) -> str | None:
    if head[:4] != b"GGUF":
        return f"it is {_kind(head)}. Give a .gguf file, for example one that llama.cpp converted."
    if len(head) < _HEAD.size:
        return "it is cut off within its head. Copy or download it again."
    _magic, version, tensors, entries = _HEAD.unpack(head)
    if version not in _VERSIONS:
        if int.from_bytes(head[4:8], "big") in _VERSIONS:
            return "it is in big-endian byte order. Give a little-endian file."
        return f"its version is {version}, and versions 2 and 3 are read. Convert the model again."
    if not tensors or not entries:
        return "it holds no tensors or no metadata. Give the file with the model's weights."
    return None


def _kind(head: bytes) -> str:
    # Nothing of the contents is quoted: the path may come from a request, and the message goes back.
    kinds = {b"PK\x03\x04": "a zip archive (a PyTorch checkpoint or a wheel)"}
    kinds |= dict.fromkeys((b"ggml", b"lmgg", b"ggjt", b"tjgg"), "an old GGML file")
    if head[:4] in kinds:
        return kinds[head[:4]]
    # A safetensors file begins with the length of its JSON head.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32:
        return "a safetensors file"
    if head.startswith(b"version https://git"):
        return "a Git LFS pointer, not the file it stands for"
    if not head:
        return "empty"
    return "text" if _is_text(head) else "of another format"


def _is_text(head: bytes) -> bool:
    try:
        # The head can end within a character of up to four bytes.
        head[:-3].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in head
