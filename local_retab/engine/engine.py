"""The front of the engine: prompts and grammars in, generations out, one thread that decodes."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from collections.abc import Sequence as Items
from typing import TYPE_CHECKING

from local_retab.engine.constraint import Constraint
from local_retab.engine.scheduler import Scheduler
from local_retab.engine.sequence import Generation, Limits, PromptPart, Sequence
from local_retab.errors import ContextLengthError, EngineError

if TYPE_CHECKING:
    from types import TracebackType

    from local_retab.engine.backend import Backend, BackendInfo
    from local_retab.engine.sampler import Sampling

COMPILED_GRAMMARS = 64
MIN_ANSWER_TOKENS = 32


class Engine:
    """Serves any number of callers from one backend, which it owns and closes.

    A decoding thread starts with the first submission and ends with ``close``, which also runs at exit.
    """

    def __init__(self, backend: Backend, *, max_sequences: int, prefill_chunk: int) -> None:
        self._backend = backend
        self._scheduler = Scheduler(backend, max_sequences=max_sequences, prefill_chunk=prefill_chunk)
        self._grammars: OrderedDict[str, Constraint] = OrderedDict()
        self._grammar_lock = threading.Lock()
        self._work = threading.Condition()
        self._inbox: list[Sequence] = []
        self._closing = False
        self._broken: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._exit_hook = _close_at_exit(self)

    @property
    def info(self) -> BackendInfo:
        return self._backend.info

    @property
    def decode_calls(self) -> int:
        """Decode calls so far, for all sequences together."""
        return self._scheduler.decode_calls

    def tokenize(self, prompt: Items[PromptPart]) -> list[int]:
        """The prompt's token ids."""
        return [token for part in prompt for token in self._backend.tokenize(part.text, special=part.trusted)]

    def submit(
        self, prompt: Items[PromptPart], grammar: str, limits: Limits, sampling: Sampling | None = None
    ) -> Generation:
        """Queue a generation under ``grammar`` (llguidance's text form), greedy without ``sampling``.

        Raises ContextLengthError, UnsupportedSchemaError, or EngineError when the engine is closed.
        """
        tokens = self.tokenize(prompt)
        room = self.info.context_tokens - MIN_ANSWER_TOKENS
        if len(tokens) > room:
            raise ContextLengthError(
                f"The prompt has {len(tokens)} tokens and the context of {self.info.name} takes {room} beside the "
                f"answer. Set LOCAL_RETAB_CONTEXT_TOKENS higher, or send fewer pages.",
                details={"prompt_tokens": len(tokens), "limit": room},
            )
        sequence = Sequence(tokens, self._compiled(grammar).copy(), limits, sampling)
        with self._work:
            if self._closing or self._broken is not None:
                raise EngineError("The engine is closed. Make a new client.") from self._broken
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="local-retab-decode", daemon=True)
                self._thread.start()
            self._inbox.append(sequence)
            self._work.notify()
        return Generation(sequence)

    def _compiled(self, grammar: str) -> Constraint:
        with self._grammar_lock:
            constraint = self._grammars.get(grammar)
            if constraint is None:
                constraint = Constraint.compile(grammar, self._backend.grammar_tokenizer())
                self._grammars[grammar] = constraint
                if len(self._grammars) > COMPILED_GRAMMARS:
                    self._grammars.popitem(last=False)
            self._grammars.move_to_end(grammar)
            return constraint

    def _serve(self) -> None:
        try:
            while self._collect():
                self._scheduler.step()
        except Exception as error:  # noqa: BLE001 - whatever it is, every waiting owner must hear of it
            with self._work:
                self._broken = error
            self._fail_all(error)
        else:
            self._fail_all(None)

    def _collect(self) -> bool:
        """Take in new sequences, waiting for one when there is nothing to do. False when the engine closes."""
        with self._work:
            while not (self._inbox or self._closing or not self._scheduler.idle):
                self._work.wait()
            for sequence in self._inbox:
                self._scheduler.add(sequence)
            self._inbox.clear()
            return not self._closing

    def _fail_all(self, cause: BaseException | None) -> None:
        text = (
            "The engine was closed." if cause is None else f"The decoding thread failed: {cause!r}. Please report it."
        )
        error = EngineError(text)
        error.__cause__ = cause
        with self._work:
            for sequence in self._inbox:
                self._scheduler.add(sequence)
            self._inbox.clear()
        self._scheduler.fail_all(error)

    def close(self) -> None:
        """Stop the thread, end every generation with an error, and free the model. Safe to call again."""
        with self._work:
            if self._closing:
                return
            self._closing = True
            self._work.notify()
        if self._thread is not None:
            self._thread.join()
        with self._grammar_lock:
            self._grammars.clear()
        self._backend.close()
        atexit.unregister(self._exit_hook)

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _close_at_exit(engine: Engine) -> Callable[[], None]:
    """llama.cpp must not be decoding while the interpreter is torn down."""
    reference = weakref.ref(engine)

    def hook() -> None:
        alive = reference()
        if alive is not None:
            alive.close()

    atexit.register(hook)
    return hook
