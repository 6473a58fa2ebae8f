"""The front of the engine: prompts and grammars in, generations out, one thread that decodes."""

from __future__ import annotations

import atexit
import itertools
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from collections.abc import Sequence as Items
from typing import TYPE_CHECKING

from local_retab.engine.constraint import Constraint
from local_retab.engine.images import ImageSpan
from local_retab.engine.scheduler import Scheduler
from local_retab.engine.sequence import (
    Generation,
    ImagePart,
    Limits,
    PromptPart,
    Sequence,
    TokenizedPrompt,
    document_start,
)
from local_retab.engine.timeslice import lengthen_slice
from local_retab.errors import ContextLengthError, EngineError

if TYPE_CHECKING:
    from types import TracebackType

    from local_retab.engine.backend import Backend, BackendInfo
    from local_retab.engine.draft import Drafter
    from local_retab.engine.prefix_disk import PrefixDisk
    from local_retab.engine.sampler import Sampling
    from local_retab.engine.veto import Veto

COMPILED_GRAMMARS = 64
MIN_ANSWER_TOKENS = 32
PAUSE_SECONDS = 0.001


class Engine:
    """Serves any number of callers from one backend, which it owns and closes.

    A decoding thread starts with the first submission, or with what is prepared for it, and ends with ``close``, which
    also runs at exit. The vocabulary is read beside whatever comes before it.
    """

    def __init__(
        self, backend: Backend, *, max_sequences: int, prefill_chunk: int, disk: PrefixDisk | None = None
    ) -> None:
        self._backend = backend
        self._scheduler = Scheduler(backend, max_sequences=max_sequences, prefill_chunk=prefill_chunk, disk=disk)
        self._grammars: OrderedDict[str, Constraint] = OrderedDict()
        self._grammar_lock = threading.Lock()
        self._work = threading.Condition()
        self._inbox: list[Sequence] = []
        self._head: list[int] = []
        self._closing = False
        self._broken: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._vocabulary = threading.Thread(target=self._read_vocabulary, name="local-retab-vocabulary", daemon=True)
        self._vocabulary.start()
        self._exit_hook = _close_at_exit(self)

    @property
    def info(self) -> BackendInfo:
        return self._backend.info

    @property
    def decode_calls(self) -> int:
        """Decode calls so far, for all sequences together."""
        return self._scheduler.decode_calls

    @property
    def encoded_images(self) -> int:
        """Images, or tiles of images, that went through the projector so far."""
        return self._scheduler.encoded_images

    @property
    def prompt_room(self) -> int:
        """Most tokens of a prompt: the context less the shortest answer."""
        return self.info.context_tokens - MIN_ANSWER_TOKENS

    def image_tokens(self, width: int, height: int) -> int:
        """How many tokens an image of this size takes. Raises EngineError where the model cannot see."""
        return self._backend.image_tokens(width, height)

    def tokenize(self, prompt: Items[PromptPart | ImagePart]) -> TokenizedPrompt:
        """See ``tokenize_prompt``."""
        return tokenize_prompt(self._backend, prompt)

    def prepare(self, prompt: Items[PromptPart]) -> None:
        """Say what every prompt begins with: the decoding thread computes it before the first one.

        The last token is left out, as what follows in a prompt may be read together with it.
        """
        head = self.tokenize(prompt).tokens[:-1]
        if not head or not self.info.prefix_sharing or len(head) + MIN_ANSWER_TOKENS > self.info.context_tokens:
            return
        with self._work:
            if self._thread is None and not self._closing:
                self._head = head
                self._start()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._serve, name="local-retab-decode", daemon=True)
        self._thread.start()

    def submit(
        self,
        prompt: Items[PromptPart | ImagePart],
        grammar: str,
        limits: Limits,
        sampling: Sampling | None = None,
        *,
        drafter: Callable[[], Drafter] | None = None,
        vetoes: Items[Veto] = (),
        votes: Items[Sampling] = (),
        background: bool = False,
    ) -> Generation:
        """Queue a generation under ``grammar`` (llguidance's text form), greedy without ``sampling``.

        ``drafter`` makes what guesses how one answer goes on; it changes the speed alone. ``vetoes`` refuse tokens
        of all answers. ``votes`` are drawn beside the answer, and share all that they have in common with it (see
        ``following``). With ``background`` it stands back behind generations that someone waits for (see ``priority``).

        Raises ContextLengthError, UnsupportedSchemaError, or EngineError when the engine is closed.
        """
        tokenized = self.tokenize(prompt)
        self._check_length(tokenized)
        constraint = self._compiled(grammar)
        sequence, *followers = (
            Sequence(
                list(tokenized.tokens),
                constraint.copy(),
                limits,
                tokenized.images,
                sampling=each,
                drafter=drafter() if drafter else None,
                vetoes=vetoes,
                stable=tokenized.stable,
                background=background,
            )
            for each in (sampling, *votes)
        )
        sequence.followers = list(followers)
        with self._work:
            if self._closing or self._broken is not None:
                raise EngineError("The engine is closed. Make a new client.") from self._broken
            if self._thread is None:
                self._start()
            self._inbox.append(sequence)
            self._work.notify()
        return Generation(sequence, followers)

    def _check_length(self, prompt: TokenizedPrompt) -> None:
        tokens = len(prompt.tokens)
        room = self.prompt_room
        if tokens <= room:
            return
        message = f"The prompt has {tokens} tokens and the context of {self.info.name} takes {room} beside the answer."
        details = {"prompt_tokens": tokens, "limit": room}
        if prompt.images:
            image_tokens = sum(span.chunk.tokens for span in prompt.images)
            pages, fit = _images_that_fit(prompt, room)
            message += f" Images are {image_tokens} of them: {fit} of the {pages} page images fit beside the text."
            details |= {"image_tokens": image_tokens, "images": pages, "images_that_fit": fit}
        raise ContextLengthError(
            f"{message} Set LOCAL_RETAB_CONTEXT_TOKENS higher, or send fewer pages.", details=details
        )

    def _read_vocabulary(self) -> None:
        with self._grammar_lock:
            self._backend.grammar_tokenizer()

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
        lengthen_slice()
        try:
            if self._head:
                self._scheduler.prepare(self._head)
            while self._collect():
                if self._scheduler.step():
                    # Several threads and processes in a row carry the first chunk to its reader, and threads that
                    # compute would take the processors from each.
                    self._backend.rest(PAUSE_SECONDS)
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
        self._vocabulary.join()
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


def tokenize_prompt(backend: Backend, prompt: Items[PromptPart | ImagePart]) -> TokenizedPrompt:
    """The prompt's token ids, and where its images are. Raises EngineError for an image that cannot be read."""
    tokens: list[int] = []
    images: list[ImageSpan] = []
    document, stable = document_start(prompt), 0
    for index, part in enumerate(prompt):
        if index <= document:
            stable = len(tokens)
        if isinstance(part, PromptPart):
            tokens += backend.tokenize(part.text, special=part.trusted)
            continue
        for item in backend.tokenize_image(part.pixels):
            if isinstance(item, int):
                tokens.append(item)
            else:
                images.append(ImageSpan(len(tokens), item))
                tokens += item.cells()
    return TokenizedPrompt(tokens, tuple(images), len(tokens) if document == len(prompt) else stable)


def _images_that_fit(prompt: TokenizedPrompt, room: int) -> tuple[int, int]:
    """How many images there are, and how many of the first of them fit into ``room`` tokens with all the text."""
    sizes: list[int] = []
    for span in prompt.images:
        if span.chunk.index == 0:
            sizes.append(0)
        sizes[-1] += span.chunk.tokens
    left = room - (len(prompt.tokens) - sum(sizes))
    fitting = [total for total in itertools.accumulate(sizes) if total <= left]
    return len(sizes), len(fitting)


def _close_at_exit(engine: Engine) -> Callable[[], None]:
    """llama.cpp must not be decoding while the interpreter is torn down."""
    reference = weakref.ref(engine)

    def hook() -> None:
        alive = reference()
        if alive is not None:
            alive.close()

    atexit.register(hook)
    return hook
