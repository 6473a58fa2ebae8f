"""Prompts of one document that run beside one another, as many as the context holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from local_retab.errors import LocalRetabError
from local_retab.extraction.answer import Answer, with_note
from local_retab.extraction.profiles import profile_named
from local_retab.extraction.prompting import write_prompt

if TYPE_CHECKING:
    from local_retab.engine.engine import Engine
    from local_retab.engine.sequence import Generation
    from local_retab.extraction.chunking.lines import DocumentLines
    from local_retab.extraction.chunking.windows import Window
    from local_retab.extraction.seeing import Sight
    from local_retab.extraction.task import Task

PART_NOTE = (
    "\n\nThis is a part of a longer document. Give what this part states: every row of a list that is in it, from the "
    "first to the last, and null for a field that it does not state."
)


class Reading:
    """One window that is read: its answer, and the generation that runs for it."""

    def __init__(
        self, task: Task, engine: Engine, sight: Sight, lines: DocumentLines, window: Window, cells: int, note: str
    ) -> None:
        self.window = window
        self.cells = cells
        """Tokens of context that it takes, prompt and expected answer of all its votes together."""
        self._shown = lines.without_heads(window.shown)
        pages = lines.as_pages(self._shown)
        self.pages = sorted({page.number for page in pages})
        self.answer = Answer(task, pages, shows=False, beside=width_of(task))
        self._task, self._engine, self._sight, self._lines, self._note = task, engine, sight, lines, note
        self._generation: Generation | None = None
        self._steps: Iterator[None] = self._run()
        self.begun = False

    def advance(self, *, wait: bool) -> bool:
        """Read what was written since, or ``wait`` for more. Returns whether the answer is complete.

        Raises what the run raises, with the pages in its details.
        """
        try:
            while wait or self._generation is None or self._generation.waiting:
                wait = False
                if next(self._steps, self) is self:
                    self._generation = None  # with all its tokens
                    return True
        except LocalRetabError as error:
            error.details.setdefault("pages", self.pages)
            raise
        return False

    def start(self) -> None:
        """Submit the first attempt."""
        next(self._steps)

    def close(self) -> None:
        """Stop what runs."""
        if isinstance(self._steps, Generator):
            self._steps.close()

    def _run(self) -> Iterator[None]:
        pages = self._lines.as_pages(self._shown)
        prompt = write_prompt(self._task, self._engine, self._sight, pages, whole=False)
        if profile_named(self._task.profile).reads_text:
            prompt = with_note(prompt, self._note)
        while self.answer.wanted:
            with (
                self.answer.submit(self._engine, prompt) as generation,
                self.answer.ballots(generation) as ballots,
            ):
                self._generation = generation
                yield
                for _ in self.answer.attempt(generation, ballots):
                    self.begun = True
                    yield


def beside(waiting: deque[Reading], engine: Engine, width: int) -> Iterator[Reading]:
    """Run the readings of a queue, which may be added to meanwhile, and yield each that is complete.

    At most ``width`` run at once, and no more than the context has cells for. The second one starts when the first one
    has computed the beginning of the prompt, which all share. Closing the iterator stops all.
    """
    running: list[Reading] = []
    try:
        while waiting or running:
            while waiting and _may_start(waiting[0], running, engine.info.context_tokens, width):
                running.append(waiting.popleft())
                running[-1].start()
            complete = [reading for place, reading in enumerate(running) if reading.advance(wait=place == 0)]
            for reading in complete:
                running.remove(reading)
            yield from complete
    finally:
        for reading in running:
            reading.close()


def _may_start(reading: Reading, running: list[Reading], context: int, width: int) -> bool:
    if not running:
        return True
    held = sum(other.cells for other in running)
    return running[0].begun and len(running) < width and held + reading.cells <= context


def width_of(task: Task) -> int:
    """How many readings may run at once: each has as many sequences as there are votes."""
    return max(task.settings.max_sequences // task.parameters.n_consensus, 1)
