"""An incremental JSON machine: bytes go in as they are generated, the visible part of the value comes out.

What is visible only ever grows (see ``extends``). A string grows by whole characters; a number, a literal and
a string at an atomic place appear when complete, a number at the delimiter that ends it; a container appears
when it opens; a key appears with its value. What the shape hides never appears.

A text that is accepted gives the value of ``json.loads`` less what is hidden, except that an unpaired
surrogate escape is U+FFFD, and that what an ``absence`` takes for null is null. Refused although json.loads
accepts them: a key that its object already shows (there the last one wins, which would take back the first),
and NaN, Infinity and floats that overflow, which are not JSON.
"""

from __future__ import annotations

import json
from codecs import utf_8_decode
from collections.abc import Callable
from typing import TYPE_CHECKING

from local_retab.extraction import lexical
from local_retab.extraction.lexical import SPACE, SPACE_END, find
from local_retab.extraction.spine import MISSING, Missing, Spine

if TYPE_CHECKING:
    from pydantic import JsonValue

    from local_retab.extraction.absence import Absence
    from local_retab.schema.shape import Shape

__all__ = ["MISSING", "Missing", "PartialJson", "PartialJsonError", "extends"]


class PartialJsonError(ValueError):
    """The text is not JSON, ends too early, or breaks a limit; the message has the JSON pointer.

    Internal: generated text is held to a grammar. Only what a grammar does not hold may raise this for a text
    that a model wrote: a key twice in an open object, a number that Python does not read, too deep a value.
    """


class PartialJson:
    """Feeds on UTF-8 bytes, cut anywhere; ``shape`` says what of the value is shown.

    A feed costs time in proportion to its bytes. After a PartialJsonError the machine keeps its last snapshot
    and path and refuses to go on.
    """

    def __init__(self, shape: Shape, absence: Absence | None = None) -> None:
        self._bytes = b""  # the begun UTF-8 sequence at the end of the input
        self._held = ""  # the begun escape or literal at the end of the input
        self._spine = Spine(shape)
        self._parts: list[str] = []  # of the string, key or number in course
        self._grows = False  # a string is in course that is shown as it grows
        self._withheld = False  # it is not shown yet, as so far it repeats an item of its array, or may be a number
        self._step: Callable[[str, int], int] = self._value
        self._changed = False
        self._failed = False
        self._absence = absence
        self.absent: list[str] = []  # pointers of values that were taken for null
        self.circles: list[str] = []  # pointers of arrays that were ended as their items repeated

    def feed(self, data: bytes, *, circular: bool = False) -> bool:
        """Reads on. Returns whether the visible value may have changed. Raises PartialJsonError.

        ``circular`` data ends an array whose last items are a circle; what came before in it is dropped.
        """
        self._changed = False
        try:
            if circular:
                self._read(data[:-1])
                self._drop()
                data = data[-1:]
            self._read(data)
        except ValueError as error:
            raise self._error(str(error)) from error
        return self._changed

    def _drop(self) -> None:
        """Forget the items that repeat others, and which of them were taken for null."""
        shown = self._spine.drop()
        if shown is None:
            return
        array, count = shown
        self.circles.append(array)
        dropped = [path for path in self.absent if path.startswith(f"{array}/")]
        dropped = [path for path in dropped if int(path.removeprefix(f"{array}/").split("/")[0]) >= count]
        self.absent = [path for path in self.absent if path not in dropped]

    def flush(self) -> JsonValue:
        """Ends the input. Returns the complete visible value; raises PartialJsonError without one."""
        if self._step == self._number and not self._spine.closer:
            self.feed(b" ")  # the end of the input is a delimiter
        root = self._spine.root
        if self._failed or self._bytes or isinstance(root, Missing):
            raise self._error("it ends before the value is complete")
        return root

    def snapshot(self) -> JsonValue | Missing:
        """The latest visible value, MISSING before there is one.

        Treat it as immutable: complete containers are shared by all snapshots and the final value.
        """
        if not self._grows:
            return self._spine.snapshot(MISSING)
        text = "".join(self._parts)
        self._parts = [text]
        if self._withheld or (self._absence and self._nullable and self._absence.may_begin(text)):
            return self._spine.snapshot(MISSING)
        return self._spine.snapshot(text)

    def complete(self) -> JsonValue | Missing:
        """Like ``snapshot``, without the string in course."""
        return self._spine.snapshot(MISSING)

    def cut(self) -> JsonValue | Missing:
        """What is complete where the model's answer ends before its end."""
        self._spine.release()
        return self.complete()

    def path(self) -> str:
        """The JSON pointer (RFC 6901) of the place where the input stands, "" for the whole value.

        That is the value in course or awaited; between members their container; in a hidden value the object
        that hides it.
        """
        return self._spine.path()

    def _error(self, problem: str) -> PartialJsonError:
        self._failed = True
        return PartialJsonError(f"The generated text is not usable JSON at {self.path()!r}: {problem}.")

    def _read(self, data: bytes) -> None:
        if self._failed:
            raise ValueError("it goes on after an error")
        if self._bytes:
            data = self._bytes + data
        text, used = utf_8_decode(data, "strict", False)
        self._bytes = data[used:]
        if self._held:
            text, self._held = self._held + text, ""
        at, end = 0, len(text)
        while at < end:
            at = self._step(text, at)

    def _hold(self, text: str, at: int) -> int:
        """Keeps what is begun at the end of the input for the next feed."""
        self._held = text[at:]
        return len(text)

    # A step reads on from text[at] and returns where the next step starts. ValueError is mapped in feed.

    def _value(self, text: str, at: int) -> int:
        char = text[at]
        if char in SPACE:
            return find(SPACE_END, text, at)
        if char == '"':
            shape = self._spine.shape
            self._grows = shape is not None and not shape.atomic
            self._step = self._string
            self._withheld = True
            self._grow()
            return at + 1
        if char in "-0123456789":
            self._step = self._number
            return at
        if char in "{[":
            self._spine.open({} if char == "{" else [])
            self._changed = self._changed or self._spine.shape is not None
            self._step = self._first
            return at + 1
        return self._literal(text, at)

    def _literal(self, text: str, at: int) -> int:
        for word, value in lexical.LITERALS:
            if text.startswith(word, at):
                self._end_scalar(value)
                return at + len(word)
            if word.startswith(text[at : at + len(word)]):
                return self._hold(text, at)
        raise ValueError("a value is due")

    def _number(self, text: str, at: int) -> int:
        end = find(lexical.NUMBER_END, text, at)
        self._parts.append(text[at:end])
        if end < len(text):
            written = self._take_parts()
            value = lexical.to_number(written)
            self._end_scalar(self._absence.read(written, value) if self._absence else value)
        return end

    def _string(self, text: str, at: int) -> int:
        end = find(lexical.STRING_STOP, text, at)
        if end > at:
            self._parts.append(text[at:end])
            self._grow()
        if end == len(text):
            return end
        if text[end] == '"':
            self._end_string()
            return end + 1
        if text[end] == "\\":
            return self._escape(text, end)
        raise ValueError("a string has a control character that is not escaped")

    def _escape(self, text: str, at: int) -> int:
        escape = lexical.unescape(text, at)
        if escape is None:
            return self._hold(text, at)
        self._parts.append(escape.char)
        self._grow()
        return escape.end

    def _grow(self) -> None:
        """The string in course has grown, and is shown if that is its way and it can be nothing else."""
        if self._grows and self._withheld:
            self._parts = ["".join(self._parts)]
            text, shape = self._parts[0], self._spine.shape
            number = shape is not None and shape.number and lexical.may_be_number(text)
            self._withheld = bool(number) or self._spine.may_repeat(text)
        self._changed = self._changed or (self._grows and not self._withheld)

    def _key(self, text: str, at: int) -> int:
        if text[at] in SPACE:
            return find(SPACE_END, text, at)
        if text[at] != '"':
            raise ValueError("a key is due")
        self._step = self._string
        return at + 1

    def _colon(self, text: str, at: int) -> int:
        if text[at] in SPACE:
            return find(SPACE_END, text, at)
        if text[at] != ":":
            raise ValueError("a colon is due")
        self._step = self._value
        return at + 1

    def _first(self, text: str, at: int) -> int:
        """Just inside a container."""
        if text[at] in SPACE:
            return find(SPACE_END, text, at)
        if text[at] != self._spine.closer:
            self._begin_member()
            return at
        self._end_container()
        return at + 1

    def _after(self, text: str, at: int) -> int:
        """After a value."""
        char = text[at]
        if char in SPACE:
            return find(SPACE_END, text, at)
        closer = self._spine.closer
        if not closer:
            raise ValueError("text follows the value")
        if char == ",":
            self._begin_member()
        elif char == closer:
            self._end_container()
        else:
            raise ValueError(f"a comma or {closer} is due")
        return at + 1

    def _begin_member(self) -> None:
        if self._spine.closer == "}":
            self._step = self._key
        else:
            self._spine.begin_item()
            self._step = self._value

    def _end_container(self) -> None:
        self._changed = self._spine.close() or self._changed
        self._step = self._after

    def _end_string(self) -> None:
        text = self._take_parts()
        if self._spine.awaits_key:
            self._spine.begin_member(text)
            self._step = self._colon
        elif self._grows and (number := self._number_in(text)) is not None:
            self._end_scalar(number)
        elif self._grows and not (self._absence and self._nullable):  # its last character was shown when it came
            self._grows = False
            self._changed = (self._spine.put(text) and self._withheld) or self._changed
            self._step = self._after
        else:
            self._end_scalar(text)

    def _number_in(self, text: str) -> int | float | None:
        """The number that a string is, where the schema has numbers beside strings."""
        shape = self._spine.shape
        number = lexical.exact_number(text) if shape is not None and shape.number and not shape.listed else None
        return None if isinstance(number, float) and shape is not None and shape.number == "integer" else number

    def _end_scalar(self, value: JsonValue) -> None:
        """A value is complete that was not visible until now, at least not all of it."""
        self._grows = False
        if self._absence and self._nullable and self._absence.is_meant(value):
            self.absent.append(self.path())
            value = None
        if self._spine.put(value):
            self._changed = True
        self._step = self._after

    @property
    def _nullable(self) -> bool:
        """Whether the value in course is shown and may be null, and the schema does not name it."""
        shape = self._spine.shape
        return shape is not None and shape.nullable and not shape.listed

    def _take_parts(self) -> str:
        text = "".join(self._parts)
        self._parts = []
        return text


def extends(new: JsonValue | Missing, old: JsonValue | Missing) -> bool:
    """Whether ``new`` may be shown after ``old``: nothing that was shown is taken back.

    MISSING is extended by everything; a string by what it begins; a list by one that is no shorter and has
    the same items, but for the last of the old list, which may be extended; an object by one that has its
    keys, in their order, with values that extend theirs; anything else by an equal of its type.
    """
    if old is MISSING:
        return True
    if isinstance(new, str) and isinstance(old, str):
        return new.startswith(old)
    if isinstance(new, list) and isinstance(old, list) and old:
        last = len(old) - 1
        same = len(new) > last and json.dumps(new[:last]) == json.dumps(old[:last])
        return same and extends(new[last], old[last])
    if isinstance(new, dict) and isinstance(old, dict):
        shown = [key for key in new if key in old]
        return shown == list(old) and all(extends(new[key], old[key]) for key in shown)
    return type(new) is type(old) and (isinstance(new, list) or new == old)
