"""Through a schema as the JSON that it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def objects_in(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON value at all depths, schemas and what they hold; no depth is too deep."""
    open_nodes = [schema]
    while open_nodes:
        node = open_nodes.pop()
        if isinstance(node, dict):
            yield node
            open_nodes += node.values()
        elif isinstance(node, list):
            open_nodes += node
