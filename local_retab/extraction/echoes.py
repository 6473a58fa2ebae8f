"""Texts that a model takes from its instructions or from habit, where the document states nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from local_retab.schema.walking import objects_in

PLACEHOLDERS = (
    *(f"{first} {last}" for first in ("john", "jane") for last in ("doe", "smith")),
    *(f"{title} {last}" for title in ("mr", "mrs", "ms", "dr") for last in ("doe", "smith")),
    *(f"{letters} {kind}" for letters in ("xyz", "abc", "acme") for kind in ("company", "corporation", "corp", "inc")),
    *(f"{kind} {letters}" for letters in ("xyz", "abc") for kind in ("company", "corporation")),
    "123 main st",
    "123 main street",
    "lorem ipsum",
)
"""Names that stand for any name, folded."""
_MIN_WORDS = 4
"""A description may well name shorter values that the model is to choose from."""
_WORD = re.compile(r"\w+")


class Echoes:
    """``told`` are the texts that describe the fields, ``rows`` the words of the document, row by row."""

    def __init__(self, told: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self._told = "\n".join(f" {_folded(text)} " for text in told)
        self._rows = rows

    def may_begin(self, text: str) -> bool:
        """Whether a text that begins so may still turn out to be an echo."""
        folded = _folded(text)
        return f" {folded}" in self._told or any(_either(folded, name) for name in self._unprinted_names)

    def is_echo(self, text: str) -> bool:
        """Whether a whole text is one: it is part of a description, or begins with a name that stands for any name; and
        the document has no such text."""
        folded = _folded(text)
        if any(f"{folded} ".startswith(f"{name} ") for name in self._unprinted_names):
            return True
        told = folded.count(" ") >= _MIN_WORDS - 1 and f" {folded} " in self._told
        return told and f" {folded} " not in self._document

    @cached_property
    def _document(self) -> str:
        return f" {_folded(' '.join(word for row in self._rows for word in row))} "

    @cached_property
    def _unprinted_names(self) -> list[str]:
        return [name for name in PLACEHOLDERS if f" {name} " not in self._document]


def descriptions(schema: dict[str, Any]) -> list[str]:
    """The texts that describe the nodes of a schema."""
    return [text for node in objects_in(schema) if isinstance(text := node.get("description"), str)]


def _folded(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))


def _either(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)
