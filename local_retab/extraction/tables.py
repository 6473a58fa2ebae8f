"""Tables in laid-out text: lines whose words stand in columns, found by the blank gaps that run through all of them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_retab.wire import TableFormat

GAP = re.compile(r"\S(?: {2,})\S")
MIN_GAP = 2
MIN_ROWS = 2


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, all of the same number."""

    rows: tuple[tuple[str, ...], ...]


def with_tables(text: str, table_format: TableFormat) -> str:
    """``text``, its paragraphs without the spaces of their layout and its tables in the format asked for."""
    return "\n".join(render(block, table_format) if isinstance(block, Table) else block for block in split_tables(text))


def split_tables(text: str) -> Iterator[Table | str]:
    """The lines of a text that stand in no table, and its tables, in order."""
    waiting: list[str] = []
    for line in text.split("\n"):
        if GAP.search(line):
            waiting.append(line)
            continue
        yield from _settle(waiting)
        waiting = []
        yield _plain(line)
    yield from _settle(waiting)


def _settle(lines: list[str]) -> Iterator[Table | str]:
    columns = _columns(lines) if len(lines) >= MIN_ROWS else []
    if len(columns) < 2:
        yield from map(_plain, lines)
    else:
        yield Table(tuple(tuple(_plain(line[start:end]) for start, end in columns) for line in lines))


def _columns(lines: list[str]) -> list[tuple[int, int]]:
    """Start and end of the columns: what is between gaps of two blanks or more that all lines have."""
    width = max(map(len, lines))
    inked = [any(at < len(line) and line[at] != " " for line in lines) for at in range(width)]
    columns: list[tuple[int, int]] = []
    start = blank = 0
    begun = False
    for at, ink in enumerate(inked):
        if not ink:
            blank += 1
            continue
        if begun and blank >= MIN_GAP:
            columns.append((start, at - blank))
            begun = False
        if not begun:
            start, begun = at, True
        blank = 0
    return [*columns, (start, width)] if begun else columns


def _plain(line: str) -> str:
    return " ".join(line.split())


def render(table: Table, table_format: TableFormat) -> str:
    """The table as text; its first row is taken to be the header where the format has one."""
    header, *rows = table.rows
    match table_format:
        case "markdown":
            ruler = ("---",) * len(header)
            return "\n".join(f"| {' | '.join(map(_escaped, row))} |" for row in (header, ruler, *rows))
        case "html":
            lines = [_html_row(header, "th"), *(_html_row(row, "td") for row in rows)]
            return "<table>\n" + "\n".join(lines) + "\n</table>"
        case "json":
            return json.dumps(table.rows, ensure_ascii=False)
        case "yaml":
            # A JSON array is a YAML sequence in its flow style.
            return "\n".join(f"- {json.dumps(row, ensure_ascii=False)}" for row in table.rows)


def _escaped(cell: str) -> str:
    return cell if set(cell) <= {"-"} else cell.replace("\\", "\\\\").replace("|", "\\|")


def _html_row(row: tuple[str, ...], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row) + "</tr>"
