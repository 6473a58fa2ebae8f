"""The spine of a JSON value in the making: the open containers, from the root to where the input stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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
    texts: set[str | None] = field(default_factory=set)  # and null, if they are items of this array
    held: list[str | None] = field(default_factory=list)  # the last items, where each is one of them once more

    @property
    def position(self) -> int:
        """The index of the item in course, in an array."""
        return len(self.value) + len(self.held)

    def add(self, item: JsonValue) -> bool:
        """Put an item into this array. Returns whether it is visible."""
        assert isinstance(self.value, list)
        if isinstance(item, str | None):
            if item in self.texts:
                self.held.append(item)
                return False
            self.texts.add(item)
        self.release()
        self.value.append(item)
        return True

    def release(self) -> bool:
        """Make the items visible that were held. Returns whether there were any."""
        if not self.held or self.shape is None:
            return False
        assert isinstance(self.value, list)
        self.value += self.held
        self.held = []
        return True

    def arranged(self, value: dict[str, JsonValue] | list[JsonValue]) -> dict[str, JsonValue] | list[JsonValue]:
        """``value``, visible members of this container, in the caller's order."""
        if self.shape is None or isinstance(value, list):
            return value
        return self.shape.arranged(value)


class Spine:
    """Builds the visible value. What is hidden is followed, as the nesting must be, but not kept.

    A text that an array has already is shown with what comes after it: it may be the begin of a circle, which is
    dropped.

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
        if self._open:
            self._open[-1].release()
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
        self.shape = None if container.shape is None else container.shape.child(container.position)

    def close(self) -> bool:
        """The innermost container is complete. Returns whether more of it is visible."""
        container = self._open.pop()
        more = container.release()
        self.shape = container.shape
        self.put(container.arranged(container.value))
        return more

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
            return container.add(value)
        if value is None and container.key in container.shape.droppable:
            return False
        container.value[container.key] = value
        return True

    def release(self) -> None:
        """Make all items visible: no circle follows."""
        for container in self._open:
            container.release()

    def drop(self) -> tuple[str, int] | None:
        """Forget the items of the innermost array that are not visible yet. Returns its pointer and how many are, None
        for an array that is hidden."""
        container = self._open[-1]
        container.held = []
        if container.shape is None:
            return None
        return self._pointer([container.shape for container in self._open[1:]]), len(container.value)

    def may_repeat(self, text: str) -> bool:
        """Whether a string that begins so may be an item that the innermost array has already, or follows one."""
        if not self._open or not isinstance(self._open[-1].value, list):
            return False
        container = self._open[-1]
        return bool(container.held) or any(known is not None and known.startswith(text) for known in container.texts)

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
        return self._pointer([*(container.shape for container in self._open[1:]), self.shape])

    def _pointer(self, shapes: Sequence[Shape | None]) -> str:
        """That of the members in course of the outermost containers, of which these are the shapes."""
        pointer = ""
        for container, shape in zip(self._open, shapes, strict=False):
            if not container.in_member or shape is None:
                break
            token = str(container.position) if isinstance(container.value, list) else container.key
            pointer += "/" + token.replace("~", "~0").replace("/", "~1")
        return pointer
