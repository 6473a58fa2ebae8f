"""What a model would have to write so that a given value is returned: instances as text under an inference schema."""

from __future__ import annotations

import json
from typing import Any

from local_retab.schema import SchemaPlan, Shape
from local_retab.schema.patterns import searcher
from local_retab.schema.style import SEPARATORS
from local_retab.schema.validation import checker

REASONING = "because"
WHOLE_FLOATS = 2**53  # below it a float without a fraction is written as the integer that it equals


def written(plan: SchemaPlan, value: Any) -> Any:
    """``value`` as the model writes it: keys in the grammar's order, hidden strings filled, null for absent fields.

    Where the grammar has no text for the value, the result is some text that it refuses.
    """
    return _Writer(plan).write(value, plan.inference, plan.shape)


def text(value: Any) -> str:
    """A written value in the grammar's spelling."""
    return json.dumps(value, ensure_ascii=False, separators=SEPARATORS)


def canonical(value: Any) -> Any:
    """The value with one spelling for each number, as JSON has 1 and 1.0 for the same one."""
    if isinstance(value, float) and value.is_integer() and abs(value) < WHOLE_FLOATS:
        return int(value)
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    return value


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal as JSON, where the order of keys does not count."""
    return json.dumps(canonical(left), sort_keys=True) == json.dumps(canonical(right), sort_keys=True)


class _Writer:
    def __init__(self, plan: SchemaPlan) -> None:
        self._definitions = plan.inference.get("$defs", {})
        self._checker = checker(plan.inference)

    def write(self, value: Any, node: Any, shape: Shape | None) -> Any:
        if not isinstance(node, dict):
            return value
        if "$ref" in node:
            return self.write(value, self._definitions[node["$ref"].rpartition("/")[2]], shape)
        if "anyOf" in node:
            options = [(option, self.write(value, option, shape)) for option in node["anyOf"]]
            fitting = (found for option, found in options if self._checker.evolve(schema=option).is_valid(found))
            return next(fitting, options[0][1])
        if isinstance(value, list):
            first = node.get("prefixItems", [])
            return [
                self.write(item, first[at] if at < len(first) else node.get("items"), _child(shape, at))
                for at, item in enumerate(value)
            ]
        return self._object(value, node, shape) if isinstance(value, dict) else value

    def _object(self, value: dict[str, Any], node: dict[str, Any], shape: Shape | None) -> dict[str, Any]:
        found: dict[str, Any] = {}
        shape = shape.resolve() if shape else None
        for name, child in node.get("properties", {}).items():
            if name in value:
                found[name] = self.write(value[name], child, _child(shape, name))
            elif name in node.get("required", ()) and shape and name in shape.hidden | shape.droppable:
                found[name] = REASONING if name in shape.hidden else None
        for key, item in value.items():
            if key not in found:
                found[key] = self.write(item, _other(node, key), _child(shape, key))
        return found


def _child(shape: Shape | None, key: str | int) -> Shape | None:
    return shape.resolve().child(key) if shape else None


def _other(node: dict[str, Any], key: str) -> Any:
    """The node of a key that is no declared property."""
    for pattern, child in node.get("patternProperties", {}).items():
        search = searcher(pattern)
        if search is not None and search(key):
            return child
    return node.get("additionalProperties", True)
