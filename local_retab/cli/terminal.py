"""What goes to the terminal: clean text, JSON, messages on standard error, and when there is a terminal at all."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def printable(text: str) -> str:
    """``text`` on one line, with every character that a terminal might obey instead of show as a JSON escape.

    Blank characters become spaces. Document text reaches the screen through this, so it cannot move the cursor.
    """
    if text.isprintable():
        return text
    return "".join(" " if character.isspace() else _shown(character) for character in text)


def to_json(value: Any) -> str:
    """``value`` as indented JSON for people: UTF-8 letters as they are, what cannot be seen as escapes."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    if text.replace("\n", "").isprintable():
        return text
    # Outside its strings JSON text has none of these characters but the line ends.
    return "".join(character if character == "\n" else _shown(character) for character in text)


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    # json leaves DEL as it is.
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def has_screen() -> bool:
    """Whether standard error is a terminal that can redraw lines."""
    return sys.stderr.isatty() and not stderr_console().is_dumb_terminal


def stderr_console() -> Console:
    """A console on standard error, where everything that is not a result goes."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str, *, label: str = "", style: str = "") -> None:
    """One message on standard error, after a coloured ``label`` such as ``error:``."""
    from rich.text import Text

    lines = [printable(line) for line in text.splitlines()]
    message = Text(f"{label} ", style=style) if label else Text()
    stderr_console().print(message.append("\n".join(lines), style="default" if label else style))


def file_size(size: int) -> str:
    """A size in bytes as people write it: ``1.1 GB``."""
    from rich.filesize import decimal

    return decimal(size)
