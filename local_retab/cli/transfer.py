"""Progress of long transfers: a bar with speed and time left on a terminal, nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from local_retab.cli.terminal import has_screen, printable, stderr_console


@contextmanager
def transfer_progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """Takes (what, bytes done, bytes in all or None); a new ``what`` begins a new bar in the place of the old."""
    if not has_screen():
        yield lambda what, done, total: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=stderr_console(),
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=None, visible=False)
        current: str | None = None

        def update(what: str, done: int, total: int | None) -> None:
            nonlocal current
            if what != current:
                current = what
                bar.reset(task, description=printable(what), total=total, completed=done, visible=True)
            bar.update(task, completed=done, total=total)

        yield update
