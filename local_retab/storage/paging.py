"""Pages of a list that is ordered by a time, with item ids as cursors."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list: the items that follow ``after``, or else the page that ends before ``before``.

    A cursor that is not in the list is as none.
    """

    before: str | None = None
    after: str | None = None
    limit: int = 10
    descending: bool = True


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Items in order; ``after`` is the last one's id when more follow, ``before`` the first one's when some precede."""

    items: tuple[Item, ...]
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Condition:
    """A part of a WHERE clause and its values."""

    sql: str
    values: tuple[Any, ...] = ()


def fetch_page(
    connection: sqlite3.Connection, table: str, conditions: Sequence[Condition], window: Window, time_column: str
) -> Page[sqlite3.Row]:
    """The rows of ``table`` that meet all conditions, ordered by ``time_column`` and then by insertion."""
    backwards = window.after is None and window.before is not None
    cursor = _position(connection, table, window.before if backwards else window.after, time_column)
    backwards = backwards and cursor is not None
    descending = window.descending != backwards
    wanted = list(conditions)
    if cursor is not None:
        wanted.append(Condition(f"({time_column}, sequence) {'<' if descending else '>'} (?, ?)", cursor))
    rows = _select(connection, table, wanted, time_column, descending, window.limit + 1)
    more, rows = len(rows) > window.limit, rows[: window.limit]
    if not rows:
        return Page((), None, None)
    # What lies on the other side of the page; its edge there is the first row that was read.
    edge = Condition(
        f"({time_column}, sequence) {'>' if descending else '<'} (?, ?)", (rows[0][time_column], rows[0]["sequence"])
    )
    other = bool(_select(connection, table, [*conditions, edge], time_column, not descending, 1))
    if backwards:
        rows.reverse()
        more, other = other, more
    return Page(tuple(rows), rows[0]["id"] if other else None, rows[-1]["id"] if more else None)


def _position(
    connection: sqlite3.Connection, table: str, cursor: str | None, time_column: str
) -> tuple[int, int] | None:
    row = connection.execute(f"SELECT {time_column}, sequence FROM {table} WHERE id = ?", (cursor,)).fetchone()
    return None if row is None else (row[0], row[1])


def _select(
    connection: sqlite3.Connection,
    table: str,
    conditions: Sequence[Condition],
    time_column: str,
    descending: bool,
    limit: int,
) -> list[sqlite3.Row]:
    where = " AND ".join(condition.sql for condition in conditions) or "1"
    values = [value for condition in conditions for value in condition.values]
    order = "DESC" if descending else "ASC"
    return connection.execute(
        f"SELECT * FROM {table} WHERE {where} ORDER BY {time_column} {order}, sequence {order} LIMIT ?",
        [*values, limit],
    ).fetchall()


def prefix_condition(prefix: str) -> Condition:
    """Filenames that begin with ``prefix``, whatever the case of letters."""
    folded = prefix.casefold()
    return Condition("substr(folded_filename, 1, ?) = ?", (len(folded), folded))


def between(time_column: str, start: int | None, end: int | None) -> list[Condition]:
    """Times from ``start`` on and before ``end``, in microseconds since the epoch; None is no bound."""
    found = []
    if start is not None:
        found.append(Condition(f"{time_column} >= ?", (start,)))
    if end is not None:
        found.append(Condition(f"{time_column} < ?", (end,)))
    return found
