"""Which lines of a document are read together."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from local_retab.extraction.chunking.lines import DocumentLines

OVERLAP_LINES = 6
"""Lines of the page before that a window begins with: what a page break cuts is whole in one of two windows."""
HEAD_LINES = 3
"""Lines above the first row of a page that are shown again with rows further down: the names of the columns."""


@dataclass(frozen=True, slots=True)
class Window:
    """Lines that are read together, in order. ``head`` are lines further up on the page that are shown before them.

    ``again``: these lines were read before, and are asked for anew because nothing was found in them.
    """

    lines: tuple[int, ...]
    head: tuple[int, ...] = ()
    tokens: int = 0
    again: bool = False

    @property
    def start(self) -> int:
        return self.lines[0]

    @property
    def shown(self) -> tuple[int, ...]:
        return (*self.head, *self.lines)


@dataclass(frozen=True, slots=True)
class _Unit:
    """Lines that stay together: a page, or a piece of a page that is too large alone."""

    start: int
    end: int
    tokens: int
    fixed: int = 0
    """Of the tokens, those of the page's image."""


Cost = Callable[[int, int], int]
"""The tokens of lines from the first up to the second."""


def page_windows(
    lines: DocumentLines,
    rows: Sequence[int],
    cost: Cost,
    images: Sequence[int],
    room: int,
    *,
    overlap: bool = True,
) -> list[Window]:
    """Windows of whole pages in ``room`` tokens each, a page that is too large alone in pieces.

    ``images`` has the tokens of each page's image. Every line is in a window. A window begins with the last lines of
    the one before, if ``overlap`` and as far as they leave room for what is new, and where it begins within a page it
    has the lines above the page's first row as head.
    """
    windows: list[Window] = []
    units = list(_units(lines, cost, images, room))
    at = 0
    while at < len(units):
        start: int = units[at].start
        head: tuple[int, ...] = ()
        if overlap:
            start, head = _beginning(lines, rows, units[at], cost, room, again=OVERLAP_LINES if windows else 0)
        tokens = cost(start, units[at].start) + _sum(head, cost) + units[at].tokens
        end = at + 1
        while end < len(units) and tokens + units[end].tokens <= room:
            tokens += units[end].tokens
            end += 1
        windows.append(Window(tuple(range(start, units[end - 1].end)), head, tokens))
        at = end
    return windows


def _beginning(
    lines: DocumentLines, rows: Sequence[int], unit: _Unit, cost: Cost, room: int, *, again: int
) -> tuple[int, tuple[int, ...]]:
    """Where a window that has ``unit`` as its first new one begins, with up to ``again`` lines before it, and its head.

    The head goes before the lines that are read again, where there is no room for both.
    """
    for start in range(max(unit.start - again, 0), unit.start + 1):
        head = _head(lines, rows, start)
        if cost(start, unit.start) + _sum(head, cost) + unit.tokens <= room:
            return start, head
    return unit.start, ()


def _sum(chosen: Iterable[int], cost: Cost) -> int:
    return sum(cost(line, line + 1) for line in chosen)


def _units(lines: DocumentLines, cost: Cost, images: Sequence[int], room: int) -> Iterator[_Unit]:
    for place, start in enumerate(lines.starts):
        end, fixed = lines.end_of_page(place), images[place]
        tokens = cost(start, end) + fixed
        if tokens <= room:
            yield _Unit(start, end, tokens, fixed)
            continue
        # Pieces leave room for the lines that they share with the piece before.
        most = max((room - fixed) * 3 // 4, 1)
        first = start
        for line in range(start, end):
            if line > first and cost(first, line + 1) > most:
                yield _Unit(first, line, cost(first, line) + fixed, fixed)
                first = line
        yield _Unit(first, end, cost(first, end) + fixed, fixed)


def row_windows(lines: DocumentLines, rows: Sequence[int], cost: Cost, room: int, most: int) -> list[Window]:
    """Windows of at most ``most`` rows and ``room`` tokens, each but the first beginning with a row.

    Every line is in one window. A window that begins within a page has the lines above the page's first row as head.
    """
    starts = [0]
    count = 0
    for row in rows:
        if count and (count >= most or cost(starts[-1], _next(rows, row, len(lines))) > room):
            starts.append(row)
            count = 0
        count += 1
    return [
        _with_head(lines, rows, piece, cost)
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)
        for piece in _pieces(start, end, cost, room)
    ]


def _pieces(start: int, end: int, cost: Cost, room: int) -> Iterator[tuple[int, ...]]:
    """The lines from ``start`` up to ``end``, in more than one piece where one has no room: much may stand between two
    rows."""
    for line in range(start + 1, end):
        if cost(start, line + 1) > room:
            yield tuple(range(start, line))
            start = line
    yield tuple(range(start, end))


def missed_windows(
    lines: DocumentLines, rows: Sequence[int], missed: Sequence[int], cost: Cost, most: int
) -> list[Window]:
    """Windows of the ``missed`` rows, each with the lines up to the next row, at most ``most`` rows together."""
    found = []
    for at in range(0, len(missed), most):
        group = missed[at : at + most]
        own = tuple(line for row in group for line in range(row, _next(rows, row, len(lines))))
        found.append(_with_head(lines, rows, own, cost, again=True))
    return found


def segment_windows(lines: DocumentLines, rows: Sequence[int], starts: Sequence[int], cost: Cost) -> list[Window]:
    """A window from each of ``starts`` to the next. A blank line above a start, if there is one since the last
    start, is where it begins: what stands over a key in the same block belongs to it."""
    begins: list[int] = []
    for place, start in enumerate(starts):
        least = starts[place - 1] + 1 if place else max(start - HEAD_LINES, lines.starts[lines.page_of(start)])
        begin = start
        for line in range(start - 1, least - 1, -1):
            if not lines.texts[line].strip():
                begin = line + 1
                break
        begins.append(begin)
    found = []
    for begin, end in zip(begins, [*begins[1:], len(lines)], strict=False):
        last = max(end, begin + 1)
        found.append(_with_head(lines, rows, tuple(range(begin, last)), cost))
    return found


def _with_head(
    lines: DocumentLines, rows: Sequence[int], own: tuple[int, ...], cost: Cost, *, again: bool = False
) -> Window:
    head = _head(lines, rows, own[0])
    return Window(own, head, _sum((*head, *own), cost), again)


def _head(lines: DocumentLines, rows: Sequence[int], start: int) -> tuple[int, ...]:
    """The last lines above the first row of the page that ``start`` is on, as far as they are above ``start``."""
    page_start = lines.starts[lines.page_of(start)]
    at = bisect_left(rows, page_start)
    first = rows[at] if at < len(rows) else start
    above = [line for line in range(page_start, min(first, start)) if lines.texts[line].strip()]
    return tuple(above[-HEAD_LINES:])


def _next(rows: Sequence[int], row: int, end: int) -> int:
    """The row after ``row``, or ``end``."""
    at = bisect_left(rows, row + 1)
    return rows[at] if at < len(rows) else end
