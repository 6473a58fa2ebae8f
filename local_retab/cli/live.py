"""The live view: an extraction's output as it fills in, and one line that says what is going on."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.text import Text

from local_retab.cli.terminal import printable

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from pydantic import JsonValue
    from rich.console import Console, RenderableType

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
CURSOR = "▌"
KEY_STYLE = "bold"
STYLES = {str: "green", bool: "magenta", int: "cyan", float: "cyan", type(None): "dim italic"}
MAX_COLUMN = 40
GAP = 2


def render_partial(output: JsonValue, *, width: int, height: int, writing: bool) -> Text:
    """``output`` in at most ``height`` lines of at most ``width`` terminal cells, keys in their own order.

    An array of plain objects is a table, a row for each item. What does not fit is left out where arrays are long:
    their tails stay, under a line that counts the rest. While ``writing``, a cursor follows the value that comes in.
    """
    lines = _Layout(width, items=height, writing=writing).lines(output)
    if len(lines) > height:
        fewest, most = 1, height
        while fewest < most:
            middle = (fewest + most + 1) // 2
            fits = len(_Layout(width, items=middle, writing=writing).lines(output)) <= height
            fewest, most = (middle, most) if fits else (fewest, middle - 1)
        lines = _Layout(width, items=fewest, writing=writing).lines(output)
    if len(lines) > height:
        hidden = len(lines) - max(height - 1, 0)
        lines = [Text(f"… {hidden} more lines", style="dim"), *lines[hidden:]][: max(height, 0)]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Text("\n", no_wrap=True, overflow="crop").join(lines)


class _Layout:
    """One way to lay a value out: at most ``items`` of each array, the last ones."""

    def __init__(self, width: int, *, items: int, writing: bool) -> None:
        self._width = width
        self._items = items
        self._writing = writing

    def lines(self, output: JsonValue) -> list[Text]:
        return self._value(Text(), output, 0, last=self._writing)

    def _value(self, label: Text, value: JsonValue, depth: int, *, last: bool) -> list[Text]:
        """The lines of one value, the first of which begins with ``label``; ``last``: it is being written."""
        if isinstance(value, dict) and value:
            lines = [label] if label.plain.strip() else []
            inner = depth + 1 if lines else depth
            for index, (key, child) in enumerate(value.items()):
                name = Text("  " * inner).append(printable(key), style=KEY_STYLE).append(": ")
                lines += self._value(name, child, inner, last=last and index == len(value) - 1)
            return lines
        if isinstance(value, dict):
            return [label.append("{}", style="dim")]
        if isinstance(value, list):
            return [label.append(_count(len(value)), style="dim"), *self._array(value, depth + 1, last=last)]
        return [label.append_text(_scalar(value, cursor=last))]

    def _array(self, values: list[JsonValue], depth: int, *, last: bool) -> list[Text]:
        hidden = max(len(values) - self._items, 0)
        shown = values[hidden:]
        more = [Text("  " * depth + f"… {hidden} more", style="dim")] if hidden else []
        rows = [value for value in shown if isinstance(value, dict) and not _nested(value)]
        if len(rows) == len(shown) and any(rows):
            header, *body = self._table(rows, depth, last=last)
            return [header, *more, *body]
        lines = more
        for number, value in enumerate(shown, hidden + 1):
            bullet = Text("  " * depth).append(f"{number}. ", style="dim")
            lines += self._value(bullet, value, depth, last=last and number == len(values))
        return lines

    def _table(self, rows: list[dict[str, JsonValue]], depth: int, *, last: bool) -> list[Text]:
        """A header and a line for each row. The widest columns give way where the width is too small."""
        keys = list(dict.fromkeys(key for row in rows for key in row))
        cells = [
            [
                _scalar(row[key], cursor=last and row is rows[-1] and key == list(row)[-1]) if key in row else Text()
                for key in keys
            ]
            for row in rows
        ]
        header = [Text(printable(key), style="dim") for key in keys]
        indent = "  " * depth
        room = self._width - len(indent) - GAP * (len(keys) - 1)
        widths = _fit([max(line[i].cell_len for line in [header, *cells]) for i in range(len(keys))], room)
        numeric = [all(isinstance(row.get(key), int | float | None) for row in rows) for key in keys]
        lines = []
        for line in [header, *cells]:
            text = Text(indent)
            for index, cell in enumerate(line):
                cell.truncate(widths[index], overflow="ellipsis")
                cell.align("right" if numeric[index] else "left", widths[index])
                text.append(" " * GAP if index else "").append_text(cell)
            lines.append(text)
        return lines


def _nested(value: dict[str, JsonValue]) -> bool:
    return any(isinstance(child, dict | list) for child in value.values())


def _count(items: int) -> str:
    return "1 item" if items == 1 else f"{items} items"


def _scalar(value: JsonValue, *, cursor: bool) -> Text:
    text = f'"{printable(value)}"' if isinstance(value, str) else json.dumps(value)
    if not cursor:
        return Text(text, style=STYLES[type(value)])
    # A string that is still growing has no closing quote yet.
    return Text(text.removesuffix('"') if isinstance(value, str) else text, style="yellow").append(CURSOR)


def _fit(widths: list[int], room: int) -> list[int]:
    """``widths`` lowered to a common ceiling, the highest under which they fit in ``room``, never below one cell."""
    ceiling = MAX_COLUMN
    while ceiling > 1 and sum(min(width, ceiling) for width in widths) > room:
        ceiling -= 1
    return [min(width, ceiling) for width in widths]


class LiveView:
    """What is going on, on a terminal, gone when the block ends; nothing where ``console`` is None.

    ``model`` is the name to show. ``with_output`` False leaves the output away and shows the status line only.
    """

    def __init__(self, console: Console | None, model: str, *, with_output: bool) -> None:
        self._started = time.monotonic()
        self.model = model
        self._with_output = with_output
        self._phase = "starting"
        self._output: JsonValue = None
        self._writing = True
        self._console = console
        self._live = (
            None
            if console is None
            else Live(
                console=console,
                get_renderable=self._render,
                refresh_per_second=10,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
                vertical_overflow="crop",
            )
        )

    @property
    def seconds(self) -> float:
        """Since the view was made."""
        return time.monotonic() - self._started

    def enter(self, phase: str) -> None:
        """Say what happens from now on."""
        self._phase = phase

    def show(self, output: JsonValue, *, complete: bool) -> None:
        """The latest output, partial or ``complete``."""
        self._output = output
        self._writing = not complete
        self._phase = "done" if complete else "writing"

    def _render(self) -> RenderableType:
        assert self._console is not None
        width, height = self._console.size
        return self.frame(self.seconds, width=width, height=height)

    def frame(self, seconds: float, *, width: int, height: int) -> RenderableType:
        """The view after ``seconds``, for a terminal of ``width`` cells and ``height`` lines."""
        spinner = SPINNER[int(seconds * 10) % len(SPINNER)]
        status = Text(f"{spinner} ", style="cyan", no_wrap=True, overflow="ellipsis")
        status.append(printable(self.model), style="bold").append(f" · {self._phase} · {seconds:.1f} s", style="dim")
        if not self._with_output or self._output is None:
            return status
        # The status, a blank line, and a line below for the cursor.
        partial = render_partial(self._output, width=width, height=max(height - 3, 1), writing=self._writing)
        return Group(status, Text(), partial)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start(refresh=True)
        return self

    def close(self) -> None:
        """Take the view off the terminal. Safe to call again."""
        if self._live is not None:
            self._live.stop()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
