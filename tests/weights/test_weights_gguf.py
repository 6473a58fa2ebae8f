"""What the head of a file tells."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_models import gguf

from local_retab.errors import ModelLoadError
from local_retab.weights.gguf import check_gguf

SAFETENSORS = (72).to_bytes(8, "little") + b'{"weight": {"dtype": "F32"}}'


@pytest.mark.parametrize("data", [gguf(), gguf(version=2), gguf(b"")])
def test_a_gguf_file_is_accepted(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(data)
    assert check_gguf(path) is None


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "it is empty"),
        (b"GGUF", "cut off within its head"),
        (gguf(b"")[:-1], "cut off within its head"),
        (SAFETENSORS, "a safetensors file"),
        (b"PK\x03\x04" + bytes(40), "a zip archive"),
        (b"lmgg" + bytes(40), "an old GGML file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer"),
        (b"<!DOCTYPE html><html><body>404", "it is text"),
        ("Grüße aus Köln, dies ist Text".encode(), "it is text"),
        (b"hi", "it is text"),
        (bytes(64), "of another format"),
        (b"\x7fELF\x02\x01\x01" + bytes(40), "of another format"),
        (gguf(version=1), "version is 1"),
        (gguf(version=4), "version is 4"),
        (b"GGUF" + (3).to_bytes(4, "big") + bytes(16), "big-endian"),
        (gguf(tensors=0), "no tensors"),
        (gguf(entries=0), "no metadata"),
    ],
)
def test_anything_else_is_named(data: bytes, cause: str, tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelLoadError, match=cause) as caught:
        check_gguf(path)
    assert caught.value.message.startswith("a.gguf is not a usable GGUF file: ")


@given(data=st.binary(max_size=64))
def test_no_bytes_break_the_reader(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelLoadError):
        check_gguf(path)


def test_the_contents_of_a_file_are_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(b"password=hunter2 and more")
    with pytest.raises(ModelLoadError) as caught:
        check_gguf(path)
    assert "hunter2" not in caught.value.message
