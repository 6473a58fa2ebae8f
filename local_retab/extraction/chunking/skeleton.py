"""How long the keys of an answer are: what an answer has before any value is in it."""

from __future__ import annotations

from typing import Any

_MAX_DEPTH = 16


def skeleton(inference: dict[str, Any]) -> tuple[str, str]:
    """The keys of a value of this inference schema outside arrays, and those of the items of its longest array.

    Both as JSON text without values; definitions that recur end somewhere.
    """
    items: list[str] = []
    head = _keys(inference, inference, items, 0)
    return head, max(items, key=len, default="")


def _keys(node: Any, document: dict[str, Any], items: list[str], depth: int) -> str:
    if not isinstance(node, dict) or depth > _MAX_DEPTH:
        return ""
    reference = node.get("$ref")
    if isinstance(reference, str):
        node = document.get("$defs", {}).get(reference.rpartition("/")[2], {})
    options = [_keys(option, document, items, depth + 1) for option in node.get("anyOf", ())]
    text = max(options, key=len, default="")
    if isinstance(node.get("items"), dict):
        items.append(_keys(node["items"], document, [], depth + 1))
    inner = [
        f'"{name}": {_keys(child, document, items, depth + 1)}' for name, child in node.get("properties", {}).items()
    ]
    return text + (f"{{{', '.join(inner)}}}" if inner else "")
