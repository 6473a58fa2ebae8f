"""Write the reference pages from the program itself: docs/commands.md, docs/settings.md, docs/errors.md.

Without arguments the pages are written; with --check they are compared, and the exit code says whether they are true.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from local_retab import errors
from local_retab.cli import app
from local_retab.settings import PREFIX, Settings

DOCS = Path(__file__).resolve().parent.parent / "docs"
HEAD = "<!-- Made by scripts/reference.py; change the program, not this page. -->\n"


def commands() -> str:
    """Every command with its arguments and options, as its help has them."""
    lines = ["# Commands", "", HEAD]
    root = typer.main.get_command(app)
    for path, command in _walk("local-retab", root):
        if hasattr(command, "commands"):
            if path == "local-retab":
                lines += [_text(command.help), "", *_quoted(command.epilog)]
            continue
        lines += [f"## {path}", "", _text(command.help), ""]
        rows = [_parameter(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
        if rows:
            lines += ["| argument or option | meaning |", "| --- | --- |", *rows, ""]
        lines += _quoted(command.epilog)
    return "\n".join(lines).rstrip() + "\n"


def _walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from _walk(f"{path} {name}", child)


def _parameter(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
    else:
        name = ", ".join(parameter.opts)
        if not parameter.is_flag:
            name += f" {parameter.metavar or parameter.name.upper()}"
    need = " Required." if parameter.required and parameter.param_type_name == "option" else ""
    return f"| `{_cell(name)}` | {_cell(_text(parameter.help))}{need} |"


def _quoted(epilog: str | None) -> list[str]:
    """The paragraphs below a command's help, its examples as shell blocks."""
    example = "Example: "
    paragraphs = [_text(paragraph) for paragraph in (epilog or "").split("\n\n")]
    return [
        f"```sh\n{paragraph.removeprefix(example)}\n```\n" if paragraph.startswith(example) else f"{paragraph}\n"
        for paragraph in paragraphs
        if paragraph
    ]


def settings() -> str:
    """Every setting with its environment variable and default."""
    lines = ["# Settings", "", HEAD]
    lines += [
        "Each is a field of `local_retab.Settings` and an environment variable, which is read once when a client or a",
        "command starts.",
        "",
        "| variable | default | meaning |",
        "| --- | --- | --- |",
    ]
    for name, field in Settings.model_fields.items():
        default = "the user's cache folder" if field.default_factory else _default(field.default)
        lines.append(f"| `{PREFIX}{name.upper()}` | {default} | {_cell(field.description or '')} |")
    return "\n".join(lines) + "\n"


def _default(value: Any) -> str:
    return "unset" if value is None else f"`{value}`"


def error_page() -> str:
    """Every error class with its code, HTTP status and exit code."""
    lines = ["# Errors", "", HEAD]
    lines += [
        "All are subclasses of `local_retab.LocalRetabError` in `local_retab.errors`; `code`, `message` and `details`",
        "are the same in process, over HTTP and in the records.",
        "",
        "| class | code | HTTP status | exit code | meaning |",
        "| --- | --- | --- | --- | --- |",
    ]
    for depth, kind in _tree(errors.LocalRetabError, 0):
        meaning = _text((kind.__doc__ or "").partition("\n\n")[0])
        name = "&nbsp;" * 4 * depth + f"`{kind.__name__}`"
        lines.append(f"| {name} | `{kind.code}` | {kind.http_status} | {kind.exit_code} | {_cell(meaning)} |")
    return "\n".join(lines) + "\n"


def _tree(kind: type[errors.LocalRetabError], depth: int) -> Iterator[tuple[int, type[errors.LocalRetabError]]]:
    yield depth, kind
    for child in kind.__subclasses__():
        yield from _tree(child, depth + 1)


def _text(text: str | None) -> str:
    return " ".join((text or "").split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES = {"commands.md": commands, "settings.md": settings, "errors.md": error_page}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a page is not true")
    check = parser.parse_args().check
    stale = []
    for name, make in PAGES.items():
        page = DOCS / name
        text = make()
        if check:
            if not page.exists() or page.read_text(encoding="utf-8") != text:
                stale.append(name)
        else:
            page.write_text(text, encoding="utf-8")
    if stale:
        print(f"reference: not true any more: {', '.join(stale)}. Run scripts/reference.py.", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
