"""Check what the Markdown files of the project say: links lead somewhere, and commands that are shown exist.

A shell block may show ``local-retab`` with any of its commands and options, and scripts of this repository.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from local_retab.cli import app

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(?:sh|bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:local-retab|scripts/)[^`\n]*)`")
HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)


def documents() -> list[Path]:
    """The Markdown files that git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [path for path in (ROOT / name for name in listed) if path.exists()]


def problems(document: Path) -> Iterator[str]:
    """What is wrong in one file, a line each."""
    text = document.read_text(encoding="utf-8")
    for match in LINK.finditer(text):
        problem = _link(document, match[1] or match[2])
        if problem:
            yield problem
    for command in _commands(text):
        problem = _command(command)
        if problem:
            yield f"`{command}`: {problem}"


def _link(document: Path, target: str) -> str | None:
    if re.match(r"[a-z]+:", target):
        return None
    path, _, anchor = target.partition("#")
    file = (document.parent / path).resolve() if path else document
    if not file.exists():
        return f"{target}: no such file"
    if anchor and anchor not in _anchors(file):
        return f"{target}: no such heading"
    return None


def _anchors(file: Path) -> set[str]:
    """The anchors that a Markdown file's headings get."""
    headings = HEADING.findall(file.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def _commands(text: str) -> Iterator[str]:
    for block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"\||&&|;", line.removeprefix("$ ")):
                command = part.partition(" #")[0].strip()
                if command.startswith(("local-retab", ".venv/bin/local-retab", "scripts/")):
                    yield command.removeprefix(".venv/bin/")
    yield from INLINE.findall(text)


def _command(text: str) -> str | None:
    """Why a command that is shown cannot be typed; None where it can. Capitals and … stand for arguments."""
    words = [word for word in shlex.split(text.replace("…", "").replace("...", "")) if word not in (">", "2>")]
    if words[0].startswith("scripts/"):
        return None if (ROOT / words[0]).exists() else "no such script"
    command = typer.main.get_command(app)
    rest = words[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]  # type: ignore[attr-defined]
    if hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        return f"no command {rest[0]}"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [word for word in rest if word.startswith("--") and word.partition("=")[0] not in {*known, "--help"}]
    return f"no option {unknown[0]}" if unknown else None


def main() -> int:
    found = [f"{path.relative_to(ROOT)}: {problem}" for path in documents() for problem in problems(path)]
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
