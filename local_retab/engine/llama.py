"""The one owner of llama.cpp: its library, the model, and the context, over the low-level bindings."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llama_cpp
import numpy as np

from local_retab.engine.backend import BackendInfo, BatchToken, Embeddings
from local_retab.engine.draft import MAX_CALL_DRAFT_TOKENS
from local_retab.engine.images import ImageChunk, Pixels
from local_retab.engine.kernels import kernels, overrides
from local_retab.engine.llama_log import clear_log, keep_log, last_log
from local_retab.engine.vision import DEFAULT_LIMITS, Projector, VisionLimits
from local_retab.engine.vocabulary import grammar_tokenizer
from local_retab.errors import EngineError, ModelLoadError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FUSED = 1  # LLAMA_FLASH_ATTN_TYPE_ENABLED, which the bindings leave out
_initialised = threading.Lock()
_ready = False


def _initialise() -> None:
    """Start llama.cpp once in a process and take over its log, which would otherwise go to stderr."""
    global _ready  # noqa: PLW0603
    with _initialised:
        if not _ready:
            llama_cpp.llama_log_set(keep_log, ctypes.c_void_p(0))
            llama_cpp.llama_backend_init()
            _ready = True


def supports_gpu() -> bool:
    """Whether this build of llama.cpp can put layers on a GPU that it sees."""
    _initialise()
    return bool(llama_cpp.llama_supports_gpu_offload())


class LlamaBackend:
    """A GGUF model and one context with a unified KV cache for all sequences; with a ``projector`` it sees.

    ``gpu_layers`` -1 puts every layer on the GPU, 0 leaves it alone. ``stop`` are texts of control tokens that end an
    answer, beside those that the vocabulary marks. ``flash_attention`` None: on a GPU alone. ``on_load`` gets the
    loaded share from 0 to 1.
    Raises ModelLoadError for a file that llama.cpp refuses or a context that does not fit in memory.
    """

    def __init__(
        self,
        path: Path,
        *,
        context_tokens: int,
        batch_tokens: int,
        sequences: int,
        threads: int,
        gpu_layers: int = 0,
        flash_attention: bool | None = None,
        projector: Path | None = None,
        vision: VisionLimits = DEFAULT_LIMITS,
        stop: Sequence[str] = (),
        on_load: Callable[[float], None] | None = None,
    ) -> None:
        _initialise()
        self._path = path
        self._threads = threads
        self._model: Any = None
        self._context: Any = None
        self._batch: Any = None
        self._grammar_tokenizer: Any = None
        self._kernels = kernels() if gpu_layers == 0 else None
        self._owns = False  # weights in the buffers of our kernels
        self._projector: Projector | None = None
        self._load_model(gpu_layers, on_load)
        try:
            if projector is not None:
                gpu = gpu_layers != 0 and supports_gpu()
                self._projector = Projector(projector, self._model, limits=vision, threads=threads, gpu=gpu)
                batch_tokens = max(batch_tokens, self._projector.whole_tokens)
            if flash_attention is None:
                flash_attention = gpu_layers != 0 and supports_gpu()
            self._open_context(context_tokens, batch_tokens, sequences, threads, flash_attention=flash_attention)
            self._info = self._describe(gpu_layers, stop)
        except ModelLoadError:
            self.close()
            raise
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._batch = llama_cpp.llama_batch_init(self._info.batch_tokens, 0, 1)
        self._token_bytes: dict[int, bytes] = {}

    def _load_model(self, gpu_layers: int, on_load: Callable[[float], None] | None) -> None:
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = gpu_layers
        if gpu_layers == 0:
            # On a CPU most weights are repacked into memory of their own: a map of the file would hold them twice
            # (2.1 GB against 1.5 GB for the starter model).
            parameters.load_mode = llama_cpp.LLAMA_LOAD_MODE_NONE
            # No device at all: else long batches are computed on a GPU even so, and a context of it takes its memory.
            parameters.split_mode = llama_cpp.LLAMA_SPLIT_MODE_NONE
            parameters.main_gpu = -1
            weights = overrides(self._path)
            if weights is not None:
                parameters.tensor_buft_overrides = ctypes.addressof(weights)
                self._owns = True
        failure: list[BaseException] = []

        @llama_cpp.llama_progress_callback  # type: ignore[untyped-decorator]
        def progress(share: float, _user_data: Any) -> bool:
            # An exception cannot cross the C frames: keep it, stop the load, raise it after.
            if on_load is not None:
                try:
                    on_load(share)
                except BaseException as error:  # noqa: BLE001
                    failure.append(error)
                    return False
            return True

        parameters.progress_callback = progress
        clear_log()
        self._model = llama_cpp.llama_model_load_from_file(str(self._path).encode(), parameters)
        if failure:
            raise failure[0]
        if not self._model:
            raise ModelLoadError(
                f"{self._path.name}: llama.cpp cannot load this file ({last_log()}). "
                f"Check it with `local-retab models verify`, or pull it again.",
                details={"path": str(self._path)},
            )
        self._vocabulary = llama_cpp.llama_model_get_vocab(self._model)

    def _open_context(
        self, context_tokens: int, batch_tokens: int, sequences: int, threads: int, *, flash_attention: bool
    ) -> None:
        parameters = llama_cpp.llama_context_default_params()
        trained = llama_cpp.llama_model_n_ctx_train(self._model)
        parameters.n_ctx = min(context_tokens, trained) if trained > 0 else context_tokens
        parameters.n_batch = batch_tokens
        parameters.n_ubatch = batch_tokens
        parameters.n_seq_max = sequences
        # Rows of logits for each running sequence and for drafts: the default reserves one for each token of a batch.
        parameters.n_outputs_max = sequences + MAX_CALL_DRAFT_TOKENS
        parameters.n_threads = threads
        parameters.n_threads_batch = threads
        # Left to itself, llama.cpp takes the plain form where another device than the cells' computes attention: ours.
        parameters.flash_attn_type = FUSED if flash_attention else llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        parameters.kv_unified = True
        parameters.no_perf = True
        clear_log()
        self._take()
        self._context = llama_cpp.llama_init_from_model(self._model, parameters)
        if not self._context:
            raise ModelLoadError(
                f"{self._path.name}: no context of {parameters.n_ctx} tokens could be made ({last_log()}). "
                f"Set LOCAL_RETAB_CONTEXT_TOKENS lower, or choose a smaller model.",
                details={"path": str(self._path), "context_tokens": int(parameters.n_ctx)},
            )

    def _describe(self, gpu_layers: int, stop: Sequence[str]) -> BackendInfo:
        size = llama_cpp.llama_vocab_n_tokens(self._vocabulary)
        ends = {token for token in range(size) if llama_cpp.llama_vocab_is_eog(self._vocabulary, token)}
        for text in stop:
            tokens = self.tokenize(text, special=True)
            if len(tokens) != 1:
                raise ModelLoadError(f"{self._path.name}: the stop token {text!r} is not in this model's vocabulary.")
            ends.add(tokens[0])
        template = llama_cpp.llama_model_chat_template(self._model, None)
        return BackendInfo(
            name=self._path.stem,
            context_tokens=llama_cpp.llama_n_ctx(self._context),
            batch_tokens=llama_cpp.llama_n_batch(self._context),
            sequences=llama_cpp.llama_n_seq_max(self._context),
            vocabulary_size=size,
            end_tokens=frozenset(ends),
            chat_template=template.decode("utf-8", "replace") if template else None,
            prefix_sharing=not (
                llama_cpp.llama_model_is_recurrent(self._model) or llama_cpp.llama_model_is_hybrid(self._model)
            ),
            bos=self._control_text(llama_cpp.llama_vocab_bos(self._vocabulary)),
            eos=self._control_text(llama_cpp.llama_vocab_eos(self._vocabulary)),
            device="gpu" if gpu_layers != 0 and supports_gpu() else "cpu",
            vision=self._projector is not None,
            kernels=self._kernels.name if self._kernels and self._owns else "",
        )

    @property
    def info(self) -> BackendInfo:
        return self._info

    def _piece(self, token: int, *, special: bool) -> bytes:
        buffer = ctypes.create_string_buffer(256)
        length = llama_cpp.llama_token_to_piece(self._vocabulary, token, buffer, len(buffer), 0, special)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = llama_cpp.llama_token_to_piece(self._vocabulary, token, buffer, len(buffer), 0, special)
        return buffer.raw[: max(length, 0)]

    def _control_text(self, token: int) -> str:
        return "" if token < 0 else self._piece(token, special=True).decode("utf-8", "replace")

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        data = text.encode("utf-8", "surrogatepass")
        capacity = len(data) + 8
        tokens = (llama_cpp.llama_token * capacity)()
        count = llama_cpp.llama_tokenize(self._vocabulary, data, len(data), tokens, capacity, False, special)
        if count < 0:
            raise EngineError(f"{self._path.name}: llama.cpp cannot tokenize a text of {len(data)} bytes.")
        return list(tokens[:count])

    def token_bytes(self, token: int) -> bytes:
        piece = self._token_bytes.get(token)
        if piece is None:
            piece = self._token_bytes[token] = self._piece(token, special=False)
        return piece

    def grammar_tokenizer(self) -> Any:
        if self._grammar_tokenizer is None:
            self._grammar_tokenizer = grammar_tokenizer(self._vocabulary, self._info.end_tokens)
        return self._grammar_tokenizer

    def decode(self, batch: Sequence[BatchToken]) -> None:
        native = self._batch
        for index, entry in enumerate(batch):
            native.token[index] = entry.token
            native.pos[index] = entry.position
            native.n_seq_id[index] = 1
            native.seq_id[index][0] = entry.sequence
            native.logits[index] = entry.logits
        native.n_tokens = len(batch)
        self._decode(native)

    def _take(self) -> None:
        if self._kernels is not None:
            self._kernels.take(self._owns)

    def _decode(self, native: Any) -> None:
        self._take()
        status = llama_cpp.llama_decode(self._context, native)
        if status != 0:
            raise EngineError(
                f"{self._path.name}: llama_decode returned {status} for {native.n_tokens} tokens ({last_log()}). "
                f"If it repeats, set LOCAL_RETAB_CONTEXT_TOKENS or LOCAL_RETAB_MAX_SEQUENCES lower.",
                details={"status": int(status)},
            )
        # A GPU is still computing: without this the wait would fall to whoever reads the logits, and what a call is
        # seen to take would be what it takes to ask for it.
        llama_cpp.llama_synchronize(self._context)

    def rest(self, seconds: float) -> None:
        if self._kernels is None:
            time.sleep(seconds)
        else:
            self._kernels.rest(self._threads, seconds)

    def tokenize_image(self, pixels: Pixels) -> list[int | ImageChunk]:
        return self._sight().tokenize(pixels)

    def image_tokens(self, width: int, height: int) -> int:
        return self._sight().count(width, height)

    def encode(self, chunk: ImageChunk, stopped: Callable[[], bool]) -> Embeddings | None:
        return self._sight().encode(chunk, stopped)

    def _sight(self) -> Projector:
        if self._projector is None:
            raise EngineError(f"{self._path.name} was loaded without a projector and cannot read images.")
        return self._projector

    def decode_image(
        self,
        chunk: ImageChunk,
        embeddings: Embeddings,
        rows: range,
        *,
        position: int,
        sequence: int,
        logits: bool,
    ) -> None:
        count = len(rows)
        if count > self._info.batch_tokens:
            raise EngineError(
                f"{self._path.name}: an image of {count} tokens does not fit the batch of {self._info.batch_tokens}. "
                f"Set LOCAL_RETAB_IMAGE_MAX_TOKENS lower."
            )
        values = np.ascontiguousarray(embeddings.values[rows.start : rows.stop])
        positions = _image_positions(chunk, rows, position)
        shared = self._batch
        for index in range(count):
            shared.n_seq_id[index] = 1
            shared.seq_id[index][0] = sequence
            shared.logits[index] = logits and index == count - 1
        native = llama_cpp.llama_batch(
            n_tokens=count,
            token=None,
            embd=values.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
            pos=positions.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_pos)),
            n_seq_id=shared.n_seq_id,
            seq_id=shared.seq_id,
            logits=shared.logits,
        )
        if not chunk.whole:
            self._decode(native)
            return
        llama_cpp.llama_set_causal_attn(self._context, False)
        try:
            self._decode(native)
        finally:
            llama_cpp.llama_set_causal_attn(self._context, True)

    def logits(self, row: int) -> NDArray[np.float32]:
        pointer = llama_cpp.llama_get_logits_ith(self._context, row)
        if not pointer:
            raise EngineError(f"{self._path.name}: llama.cpp has no logits for batch entry {row}.")
        return np.ctypeslib.as_array(pointer, shape=(self._info.vocabulary_size,))

    def cut(self, sequence: int, start: int) -> bool:
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, sequence, start, -1))

    def share(self, source: int, target: int, end: int) -> None:
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, end)

    def snapshot(self, sequence: int) -> memoryview:
        size = llama_cpp.llama_state_seq_get_size(self._context, sequence)
        # Tens of MB: numpy neither clears them nor takes small pages for them.
        state = np.empty(size, np.uint8)
        written = llama_cpp.llama_state_seq_get_data(self._context, _bytes_of(state), size, sequence)
        return state[:written].data

    def restore(self, sequence: int, state: bytes | memoryview) -> bool:
        held = np.frombuffer(state, np.uint8)
        if llama_cpp.llama_state_seq_set_data(self._context, _bytes_of(held), held.size, sequence):
            return True
        self.cut(sequence, 0)
        return False

    def close(self) -> None:
        # The grammar tokenizer points into the vocabulary: it goes before the model does.
        self._grammar_tokenizer = None
        if self._projector is not None:
            self._projector.close()
            self._projector = None
        if self._batch is not None:
            llama_cpp.llama_batch_free(self._batch)
            self._batch = None
        if self._context:
            llama_cpp.llama_free(self._context)
            self._context = None
        if self._model:
            llama_cpp.llama_model_free(self._model)
            self._model = None


def _bytes_of(values: NDArray[np.uint8]) -> Any:
    return values.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))


def _image_positions(chunk: ImageChunk, rows: range, position: int) -> NDArray[np.int32]:
    """The positions of an embedding batch: one a token, or under M-RoPE four sections (time, row, column, none)."""
    if chunk.grid is None:
        return np.arange(position + rows.start, position + rows.stop, dtype=np.int32)
    sections = np.zeros((4, len(rows)), dtype=np.int32)
    sections[:3] = chunk.grid[:, rows.start : rows.stop] + position
    return sections
