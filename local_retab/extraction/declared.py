"""The types that a JSON Schema declares at a place of a value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_MAX_NODES = 64
"""Schemas looked at for one place; references and unions can be written that never end."""

_WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True, slots=True)
class Declared:
    """The schemas that apply at one place, as far as ``$ref`` within the document and unions lead to them."""

    schemas: tuple[dict[str, Any], ...]
    document: dict[str, Any]

    @classmethod
    def root(cls, schema: dict[str, Any] | None) -> Declared:
        """The place of the whole value."""
        return cls((schema,) if schema else (), schema or {})

    def child(self, key: str | int) -> Declared:
        """The place of a property (str) or an item (int)."""
        found: list[dict[str, Any]] = []
        for schema in self._applying():
            child = _property(schema, key) if isinstance(key, str) else _element(schema, key)
            if isinstance(child, dict):
                found.append(child)
        return Declared(tuple(found), self.document)

    @property
    def types(self) -> frozenset[str]:
        """The declared type names; empty where the schema says nothing."""
        names: set[str] = set()
        for schema in self._applying():
            kind = schema.get("type")
            names.update([kind] if isinstance(kind, str) else kind if isinstance(kind, list) else ())
        return frozenset(names)

    @property
    def forbids_null(self) -> bool:
        """Whether types or values are declared here and null is none of them."""
        values = [value for schema in self._applying() for value in schema.get("enum", ())]
        return bool(self.types or values) and "null" not in self.types and None not in values

    @property
    def is_fractional(self) -> bool:
        """Whether numbers here may have decimals."""
        return "number" in self.types

    @property
    def is_date(self) -> bool:
        """Whether strings here are dates."""
        return any(schema.get("format") in {"date", "date-time"} for schema in self._applying())

    @property
    def words(self) -> frozenset[str]:
        """The words of the titles and descriptions here, folded."""
        texts = [schema.get(key) for schema in self._applying() for key in ("title", "description")]
        return frozenset(word.casefold() for text in texts if isinstance(text, str) for word in _WORD.findall(text))

    def _applying(self) -> Iterator[dict[str, Any]]:
        waiting = list(self.schemas)
        for _ in range(_MAX_NODES):
            if not waiting:
                return
            schema = waiting.pop(0)
            yield schema
            target = _resolve(self.document, schema.get("$ref"))
            waiting += [target] if target is not None else []
            for keyword in ("anyOf", "oneOf", "allOf"):
                options = schema.get(keyword)
                waiting += (
                    [option for option in options if isinstance(option, dict)] if isinstance(options, list) else []
                )


def _property(schema: dict[str, Any], key: str) -> Any:
    properties = schema.get("properties")
    if isinstance(properties, dict) and key in properties:
        return properties[key]
    return schema.get("additionalProperties")


def _element(schema: dict[str, Any], index: int) -> Any:
    prefix = schema.get("prefixItems")
    if isinstance(prefix, list) and index < len(prefix):
        return prefix[index]
    return schema.get("items")


def _resolve(document: dict[str, Any], reference: Any) -> dict[str, Any] | None:
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    here: Any = document
    for part in reference[1:].split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        here = here.get(name) if isinstance(here, dict) else None
    return here if isinstance(here, dict) else None
