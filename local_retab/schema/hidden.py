"""Hidden properties: what the model writes for itself before a field, and the caller never sees."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from local_retab.schema.conjunction import Conjunction, Conjunctions

REASONING_CHARS = 200  # enough for a sentence; small models ramble without an end
QUOTE_CHARS = 300
QUOTED_LINES = 4  # of one value; addresses take three or four
LINE = "document_line"
NOT_STATED = "not stated"
EVIDENCE = f"the line of the document that states it, or: {NOT_STATED}"
"""What a field's reasoning begins with, told in the template as ``$comment``, which no validator reads."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """One hidden property: its key and its node of the inference schema."""

    name: str
    schema: dict[str, Any]


class HiddenFields:
    """The hidden properties that a document asks for, under keys that no property of the caller begins with."""

    __slots__ = ("_cited", "_reader", "_reasoning", "_source")

    def __init__(self, reader: Conjunctions, *, cited: bool) -> None:
        names = _property_names(reader)
        self._reader = reader
        self._cited = cited
        self._reasoning = _free("_", names)  # short: every key costs its tokens
        self._source = _free("source___", names)

    @property
    def source_prefix(self) -> str:
        """What the keys of quotes begin with."""
        return self._source

    @property
    def reasoning_prefix(self) -> str:
        """What the keys of reasoning begin with."""
        return self._reasoning

    def before(self, name: str, pointers: Conjunction, *, is_leaf: bool = False) -> list[Hidden]:
        """Those that stand before the property ``name``: the quote, then the reasoning about it.

        Where the schema is ``cited``, a leaf's quote is of lines of the document, which LINE lists.
        """
        found = []
        if self._cited:
            lines = {"type": "array", "items": {"$ref": f"#/$defs/{LINE}"}, "maxItems": QUOTED_LINES}
            note = f"the lines of the document that state {name}, or [] where none does"
            found = [Hidden(self._source + name, {**lines, "$comment": note})] if is_leaf else []
        elif any(value is True for value in self._reader.annotations(pointers, "X-SourceQuote")):
            text = f"the exact words of the document that {name} is taken from"
            quote = {"type": ["string", "null"], "maxLength": QUOTE_CHARS, "description": text}
            found.append(Hidden(self._source + name, quote))
        reasoning = self.leading(name, pointers)
        if reasoning is None:
            return found
        return [*found, Hidden(reasoning.name, {**reasoning.schema, "$comment": EVIDENCE})]

    def leading(self, name: str, pointers: Conjunction) -> Hidden | None:
        """The reasoning about a value; ``root`` and ``item`` have theirs as their own first property."""
        prompt = self._reader.text(pointers, "X-ReasoningPrompt")
        if prompt is None:
            return None
        schema = {"type": "string", "maxLength": REASONING_CHARS, "description": prompt}
        return Hidden(self._reasoning + name, schema)


def _property_names(reader: Conjunctions) -> set[str]:
    names: set[str] = set()
    for pointer in reader.references.pointers():
        schema = reader.references.at(pointer)
        if isinstance(schema, dict):
            names.update(schema.get("properties", ()), schema.get("required", ()))
    return names


def _free(prefix: str, names: Iterable[str]) -> str:
    while any(name.startswith(prefix) for name in names):
        prefix += "_"
    return prefix
