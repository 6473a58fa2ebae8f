"""Local references: from ``$ref`` to the JSON pointer of what it means. Nothing is ever fetched."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from local_retab.errors import InvalidSchemaError, UnsupportedSchemaError
from local_retab.schema.dialect import Dialect, subschemas, unescape

MADE = "/~made"
"""What the pointers to made schemas have: no pointer to a key has a tilde without 0 or 1 after it."""
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


class References:
    """The places of one schema document: schemas by JSON pointer, and the pointer that each ``$ref`` leads to."""

    __slots__ = ("_anchors", "_bases", "_resources", "_schemas", "root")

    def __init__(self, root: dict[str, Any], dialect: Dialect) -> None:
        """Index ``root``. Raises UnsupportedSchemaError (remote) or InvalidSchemaError (dangling), all in one."""
        self.root = root
        self._schemas: dict[str, Any] = {}
        self._bases: dict[str, str] = {}  # pointer of a subschema -> the URI its references are relative to
        self._resources: dict[str, str] = {"": ""}  # URI -> pointer of the resource
        self._anchors: dict[tuple[str, str], str] = {}
        found: list[tuple[str, str, str]] = []
        pending: list[tuple[str, Any, str]] = [("", root, "")]
        while pending:
            while pending:
                pointer, schema, base = pending.pop()
                if isinstance(schema, dict):
                    base = self._enter(pointer, schema, base, dialect)
                    found += [(pointer, k, schema[k]) for k in _REFERENCES if isinstance(schema.get(k), str)]
                self._bases[pointer] = base
                self._schemas[pointer] = schema
                pending += [(at, child, base) for at, child in subschemas(schema, pointer)]
            # Definitions may also lie under keywords that are not JSON Schema's, as #/components/schemas/... do.
            targets = {self._find(pointer, reference) for pointer, _, reference in found}
            pending = [(at, self._get(at), "") for at in sorted(t for t in targets if t and t not in self._bases)]
        self._check(found)

    def _enter(self, pointer: str, schema: dict[str, Any], base: str, dialect: Dialect) -> str:
        identifier = schema.get(dialect.id_keyword)
        if isinstance(identifier, str) and not (dialect.ref_stands_alone and "$ref" in schema):
            uri, fragment = urldefrag(urljoin(base, identifier))
            if fragment:
                self._anchors[uri, fragment] = pointer
            else:
                base = uri
            self._resources.setdefault(base, pointer)
        for keyword in ("$anchor", "$dynamicAnchor"):
            if isinstance(schema.get(keyword), str):
                self._anchors[base, schema[keyword]] = pointer
        return base

    def _check(self, found: list[tuple[str, str, str]]) -> None:
        remote, dangling = [], []
        for pointer, keyword, reference in found:
            uri = urldefrag(urljoin(self._bases[pointer], reference))[0]
            problem = {"path": pointer, "keyword": keyword, "reason": reference[:200]}
            if uri not in self._resources:
                remote.append(problem)
            elif self._find(pointer, reference) is None:
                dangling.append(problem)
        if remote:
            raise UnsupportedSchemaError(
                f"The schema refers to {remote[0]['reason']!r} at {remote[0]['path'] or '/'}, which is not part of "
                "it, and nothing is fetched. Copy the definition into $defs and refer to it as #/$defs/....",
                details={"problems": remote},
            )
        if dangling:
            raise InvalidSchemaError(
                f"The schema refers to {dangling[0]['reason']!r} at {dangling[0]['path'] or '/'}, and there is no such "
                "definition in it. Add the definition or correct the reference.",
                details={"problems": dangling},
            )

    def _find(self, pointer: str, reference: str) -> str | None:
        uri, fragment = urldefrag(urljoin(self._bases.get(pointer, ""), reference))
        fragment = unquote(fragment)
        start = self._resources.get(uri)
        if start is None:
            return None
        if fragment and not fragment.startswith("/"):
            return self._anchors.get((uri, fragment))
        target = start + fragment
        return target if isinstance(self._get(target), dict | bool) else None

    def _get(self, pointer: str) -> Any:
        node: Any = self.root
        for segment in pointer.split("/")[1:]:
            key = unescape(segment)
            if isinstance(node, dict) and key in node:
                node = node[key]
            elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
                node = node[int(key)]
            else:
                return None
        return node

    def make(self, pointer: str, label: str, schema: Any) -> str:
        """Add a schema that was made of the one at ``pointer``; the pointer to it, which no caller's schema has."""
        made = f"{pointer}{MADE}/{label}"
        pending = [(made, schema)]
        while pending:
            at, node = pending.pop()
            self._schemas[at], self._bases[at] = node, self._bases[pointer]
            pending += subschemas(node, at)
        return made

    def at(self, pointer: str) -> Any:
        """The schema (an object or a bool) at a pointer that ``target`` or the walk of subschemas gave."""
        return self._schemas[pointer]

    def target(self, pointer: str, reference: str) -> str:
        """The pointer that ``reference``, standing at ``pointer``, leads to. Raises InvalidSchemaError."""
        found = self._find(pointer, reference)
        if found is None:
            raise InvalidSchemaError(
                f"The schema refers to {reference[:200]!r} at {pointer or '/'}, which does not exist."
            )
        return found

    def pointers(self) -> list[str]:
        """Every subschema of the document."""
        return list(self._bases)
