"""How deep a schema nests once its definitions are followed.

llguidance descends into references by native recursion, and a chain of some thousand levels ends the process: the
stack overflows. So depth is bounded before llguidance sees a schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def levels(inference: dict[str, Any]) -> int:
    """An upper bound on the levels of nesting that any walk meets which enters each definition once.

    The longest path over the strongly connected components of the definitions (Tarjan 1972); in a component, where a
    walk may go from any definition to any other, the levels of all of them count.
    """
    definitions = {name: _measure(node) for name, node in inference.get("$defs", {}).items()}
    definitions[""] = _measure({key: value for key, value in inference.items() if key != "$defs"})
    deepest: dict[str, int] = {}
    for component in _components({name: sorted(targets) for name, (_, targets) in definitions.items()}):
        own = sum(definitions[name][0] for name in component)
        below = max((deepest.get(target, 0) for name in component for target in definitions[name][1]), default=0)
        deepest.update(dict.fromkeys(component, own + below))
    return deepest[""]


def _measure(node: Any) -> tuple[int, set[str]]:
    """The levels of one definition by itself, and the definitions that it refers to."""
    depth, targets, level = 0, set(), [node]
    while level:
        depth += 1
        below: list[Any] = []
        for schema in level:
            if not isinstance(schema, dict):
                continue
            if "$ref" in schema:
                targets.add(schema["$ref"].rpartition("/")[2])
            for keyword in ("properties", "patternProperties"):
                below += schema.get(keyword, {}).values()
            for keyword in ("anyOf", "prefixItems"):
                below += schema.get(keyword, ())
            below += [schema[keyword] for keyword in ("items", "additionalProperties") if keyword in schema]
        level = below
    return depth, targets


def _components(graph: Mapping[str, list[str]]) -> list[list[str]]:
    """The strongly connected components, each after those that it leads to."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_nodes: list[str] = []
    found: list[list[str]] = []
    done: set[str] = set()
    for start in graph:
        walk = [(start, iter(graph[start]))] if start not in order else []
        while walk:
            name, targets = walk[-1]
            if name not in order:
                order[name] = lowest[name] = len(order)
                open_nodes.append(name)
            target = next(targets, None)
            if target is None:
                walk.pop()
                if walk:
                    lowest[walk[-1][0]] = min(lowest[walk[-1][0]], lowest[name])
                if lowest[name] == order[name]:
                    cut = open_nodes.index(name)
                    found.append(open_nodes[cut:])
                    done.update(open_nodes[cut:])
                    del open_nodes[cut:]
            elif target not in order:
                walk.append((target, iter(graph[target])))
            elif target not in done:
                lowest[name] = min(lowest[name], order[target])
    return found
