"""The spine of a JSON value in the making: the open containers, from the root to where the input stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pydantic import JsonValue

    from local_retab.schema.shape import Shape

MAX_DEPTH = 256


class Missing(Enum):
    """The type of MISSING, the value before there is one."""

    MISSING = "MISSING"


MISSING: Final = Missing.MISSING


@dataclass(slots=True)
class _Container:
    """An open container. It holds its visible complete members; the one in course is not in it yet."""

    value: dict[str, JsonValue] | list[JsonValue]
    shape: Shape | None
    key: str = ""  # of the member in course, in an object
    in_member: bool = False

    def arranged(self, value: dict[str, JsonValue] | list[JsonValue]) -> dict[str, JsonValue] | list[JsonValue]:
        """``value``, visible members of this container, in the caller's order."""
        if self.shape is None or isinstance(value, list):
            return value
        return self.shape.arranged(value)


class Spine:
    """Builds the visible value. What is hidden is followed, as the nesting must be, but not kept.

    ``shape`` is that of the value in course or awaited, None where hidden. ``root`` is the value once it
    is complete. Raises ValueError for a value that is nested too deep or has a key twice.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape: Shape | None = shape
        self.root: JsonValue | Missing = MISSING
        self._open: list[_Container] = []

    @property
    def closer(self) -> str:
        """What ends the innermost container; "" where none is open."""
        if not self._open:
            return ""
        return "}" if isinstance(self._open[-1].value, dict) else "]"

    @property
    def awaits_key(self) -> bool:
        """Whether a string that ends here is a key."""
        return bool(self._open) and not self._open[-1].in_member

    def open(self, value: dict[str, JsonValue] | list[JsonValue]) -> None:
        """The value in course is this container, empty as yet."""
        if len(self._open) == MAX_DEPTH:
            raise ValueError(f"it nests deeper than {MAX_DEPTH} levels")
        self._open.append(_Container(value, self.shape))

    def begin_member(self, key: str) -> None:
        """The value at this key of the innermost container, an object, is next."""
        container = self._open[-1]
        if key in container.value:
            raise ValueError(f"an object has the key {key[:100]!r} twice")
        container.key, container.in_member = key, True
        shape = container.shape
        self.shape = None if shape is None or key in shape.hidden else shape.child(key)

    def begin_item(self) -> None:
        """Another item of the innermost container, an array, is next."""
        container = self._open[-1]
        container.in_member = True
        self.shape = None if container.shape is None else container.shape.child(len(container.value))

    def close(self) -> None:
        """The innermost container is complete."""
        container = self._open.pop()
        self.shape = container.shape
        self.put(container.arranged(container.value))

    def put(self, value: JsonValue) -> bool:
        """The value in course is complete. Returns whether it is visible."""
        if not self._open:
            self.root = value
            return True
        container = self._open[-1]
        container.in_member = False
        if container.shape is None or self.shape is None:
            return False
        if isinstance(container.value, list):
            container.value.append(value)
        elif value is None and container.key in container.shape.droppable:
            return False
        else:
            container.value[container.key] = value
        return True

    def snapshot(self, value: JsonValue | Missing) -> JsonValue | Missing:
        """The visible value, given what is visible of a string in course (MISSING: nothing).

        Costs time in proportion to the widths of the open containers; complete ones are shared, not copied.
        """
        if not self._open:
            return self.root if value is MISSING else value
        for container in reversed(self._open):
            if container.shape is None:
                continue
            copy = container.value.copy()
            if not isinstance(value, Missing):
                if isinstance(copy, list):
                    copy.append(value)
                else:
                    copy[container.key] = value
            value = container.arranged(copy)
        return value

    def path(self) -> str:
        """The JSON pointer (RFC 6901) of the value in course or awaited, of their container between members.

        What is hidden is named by the object that hides it.
        """
        pointer = ""
        shapes = [*(container.shape for container in self._open[1:]), self.shape]
        for container, shape in zip(self._open, shapes, strict=False):
            if not container.in_member or shape is None:
                break
            value = container.value
            token = str(len(value)) if isinstance(value, list) else container.key
            pointer += "/" + token.replace("~", "~0").replace("/", "~1")
        return pointer
