"""The one owner of mtmd, llama.cpp's library for images: a projector, and the embeddings it has made.

Counting an image's tokens needs its size alone, so prompts are measured without touching a pixel; the pixels are
prepared when their turn to be encoded comes. Embeddings are kept, the least recently used ones go first.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llama_cpp
import numpy as np
from llama_cpp import mtmd_cpp

from local_retab.engine.backend import Embeddings
from local_retab.engine.images import ImageChunk, Pixels, chunk_key
from local_retab.engine.img_break import repair
from local_retab.engine.llama_log import clear_log, keep_log, last_log
from local_retab.errors import EngineError, ModelLoadError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Between two looks at whether the encoding is still wanted: a page takes a few thousand nodes.
_NODES_PER_LOOK = 64
# Wider and higher than any page at 300 dpi; what a projector makes of it is its largest image.
_LARGEST_SIDE = 4096


@dataclass(frozen=True, slots=True)
class VisionLimits:
    """How many tokens an image may take (None: what the projector says), and the memory for kept embeddings."""

    min_tokens: int | None = None
    max_tokens: int | None = None
    cache_bytes: int = 512 * 1024 * 1024


DEFAULT_LIMITS = VisionLimits()


class Projector:
    """An mmproj file, loaded for a language model that outlives it.

    ``tokenize`` may be called from any thread, ``encode`` from one at a time.
    Raises ModelLoadError for a file that is no image projector, or one of another model.
    """

    def __init__(self, path: Path, model: Any, *, limits: VisionLimits, threads: int, gpu: bool) -> None:
        self._path = path
        self._context: Any = None
        self._stopped: Callable[[], bool] | None = None
        self._nodes = 0
        self._failure: BaseException | None = None
        self._watch = llama_cpp.ggml_backend_sched_eval_callback(self._on_node)
        self._prepared: tuple[Pixels, Any] | None = None
        self._kept: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()
        self._kept_bytes = 0
        self._limits = limits
        self._width = llama_cpp.llama_model_n_embd_inp(model)
        self._load(model, threads, gpu)
        stat = path.stat()
        identity = f"{path.name} {stat.st_size} {stat.st_mtime_ns} {limits.min_tokens} {limits.max_tokens}"
        self._identity = hashlib.blake2b(identity.encode(), digest_size=16).digest()
        self._mrope = bool(mtmd_cpp.mtmd_decode_use_mrope(self._context))
        self._whole = bool(mtmd_cpp.mtmd_decode_use_non_causal(self._context, None))

    def _load(self, model: Any, threads: int, gpu: bool) -> None:
        mtmd_cpp.mtmd_helper_log_set(keep_log, ctypes.c_void_p(0))
        parameters = mtmd_cpp.mtmd_context_params_default()
        parameters.use_gpu = gpu
        parameters.n_threads = threads
        parameters.print_timings = False
        # Where flash attention is missing, attention over a page's patches is gigabytes.
        parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO
        parameters.image_min_tokens = -1 if self._limits.min_tokens is None else self._limits.min_tokens
        parameters.image_max_tokens = -1 if self._limits.max_tokens is None else self._limits.max_tokens
        parameters.cb_eval = self._watch
        clear_log()
        self._context = mtmd_cpp.mtmd_init_from_file(str(self._path).encode(), model, parameters)
        fault = ""
        if not self._context:
            fault = f"mtmd cannot load this projector for the model ({last_log()})"
        elif not mtmd_cpp.mtmd_support_vision(self._context):
            self.close()
            fault = "this projector does not read images"
        if fault:
            raise ModelLoadError(
                f"{self._path.name}: {fault}. Give the image projector (mmproj) that belongs to the model; check it "
                f"with `local-retab models verify`, or pull the model again.",
                details={"path": str(self._path)},
            )

    @property
    def whole_tokens(self) -> int:
        """The tokens of the largest image that must be decoded in one call; 0 where images can be split."""
        return max(self._sizes(_LARGEST_SIDE, _LARGEST_SIDE)) if self._whole else 0

    def count(self, width: int, height: int) -> int:
        """The tokens of an image of this size, those around it included."""
        return sum(self._sizes(width, height))

    def _sizes(self, width: int, height: int) -> list[int]:
        with self._chunks(width, height, None) as natives:
            return [mtmd_cpp.mtmd_input_chunk_get_n_tokens(native) for native in natives]

    def tokenize(self, pixels: Pixels) -> list[int | ImageChunk]:
        """The chunks of an image, and the tokens before, between and after them."""
        items: list[int | ImageChunk] = []
        index = 0
        with self._chunks(pixels.width, pixels.height, None) as natives:
            for native in natives:
                if mtmd_cpp.mtmd_input_chunk_get_type(native) == mtmd_cpp.MTMD_INPUT_CHUNK_TYPE_TEXT:
                    count = ctypes.c_size_t()
                    tokens = mtmd_cpp.mtmd_input_chunk_get_tokens_text(native, ctypes.byref(count))
                    items += [int(tokens[place]) for place in range(count.value)]
                    continue
                items.append(
                    ImageChunk(
                        pixels=pixels,
                        key=chunk_key(self._identity, pixels, index),
                        index=index,
                        tokens=mtmd_cpp.mtmd_input_chunk_get_n_tokens(native),
                        positions=mtmd_cpp.mtmd_input_chunk_get_n_pos(native),
                        whole=self._whole,
                        grid=self._grid(native) if self._mrope else None,
                    )
                )
                index += 1
        return items

    def encode(self, chunk: ImageChunk, stopped: Callable[[], bool]) -> Embeddings | None:
        """The chunk's embeddings, from memory where they still are; None once ``stopped`` says so."""
        kept = self._kept.get(chunk.key)
        if kept is not None:
            self._kept.move_to_end(chunk.key)
            return Embeddings(kept, fresh=False)
        if stopped():
            return None
        native, last = self._prepare(chunk)
        self._stopped, self._nodes, self._failure = stopped, 0, None
        clear_log()
        status = mtmd_cpp.mtmd_encode_chunk(self._context, native)
        # The callback's answer ends the computation without a word; what has come out is then worth nothing.
        self._stopped = None
        if self._failure is not None:
            raise self._failure
        if stopped():
            return None
        if status != 0:
            raise EngineError(
                f"{self._path.name}: mtmd cannot encode an image of {chunk.pixels.width} x {chunk.pixels.height} "
                f"pixels ({last_log()}). Lower image_resolution_dpi or LOCAL_RETAB_IMAGE_MAX_TOKENS.",
                details={"status": int(status)},
            )
        if last:
            self._drop_prepared()
        output = mtmd_cpp.mtmd_get_output_embd(self._context)
        values = np.ctypeslib.as_array(output, shape=(chunk.tokens, self._width)).copy()
        repair(values, self._path)
        self._keep(chunk.key, values)
        return Embeddings(values, fresh=True)

    def _on_node(self, _tensor: Any, ask: bool, _user_data: Any) -> bool:
        """Asked before each node whether to be called after it; then whether to go on."""
        if ask:
            self._nodes += 1
            return self._stopped is not None and self._nodes % _NODES_PER_LOOK == 0
        try:
            return self._stopped is None or not self._stopped()
        except BaseException as error:  # noqa: BLE001 - it cannot cross the C frames: kept, and raised after
            self._failure = error
            return False

    def _keep(self, key: bytes, values: NDArray[np.float32]) -> None:
        self._kept[key] = values
        self._kept_bytes += values.nbytes
        while self._kept_bytes > self._limits.cache_bytes:
            _key, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= dropped.nbytes

    def _prepare(self, chunk: ImageChunk) -> tuple[Any, bool]:
        """The native chunk with its pixels resized and cut, and whether it is its image's last.

        The pixels of one image are held for its further chunks.
        """
        pixels = chunk.pixels
        if self._prepared is None or self._prepared[0] != pixels:
            self._drop_prepared()
            self._prepared = pixels, self._tokenized(pixels.width, pixels.height, pixels.data)
        images = [
            native
            for native in _natives(self._prepared[1])
            if mtmd_cpp.mtmd_input_chunk_get_type(native) == mtmd_cpp.MTMD_INPUT_CHUNK_TYPE_IMAGE
        ]
        return images[chunk.index], chunk.index == len(images) - 1

    def _drop_prepared(self) -> None:
        if self._prepared is not None:
            mtmd_cpp.mtmd_input_chunks_free(self._prepared[1])
            self._prepared = None

    @contextmanager
    def _chunks(self, width: int, height: int, data: bytes | None) -> Iterator[list[Any]]:
        chunks = self._tokenized(width, height, data)
        try:
            yield list(_natives(chunks))
        finally:
            mtmd_cpp.mtmd_input_chunks_free(chunks)

    def _tokenized(self, width: int, height: int, data: bytes | None) -> Any:
        """The native chunks of an image, for the caller to free; without ``data`` they only count tokens."""
        pixels = None if data is None else ctypes.cast(ctypes.c_char_p(data), ctypes.POINTER(ctypes.c_uint8))
        bitmap = mtmd_cpp.mtmd_bitmap_init(width, height, pixels)
        chunks = mtmd_cpp.mtmd_input_chunks_init()
        part = mtmd_cpp.mtmd_input_part(bitmap=bitmap)
        parts = (ctypes.POINTER(mtmd_cpp.mtmd_input_part) * 1)(ctypes.pointer(part))
        try:
            status = mtmd_cpp.mtmd_tokenize_from_parts(self._context, chunks, parts, 1, False)
        finally:
            mtmd_cpp.mtmd_bitmap_free(bitmap)
        if status != 0:
            mtmd_cpp.mtmd_input_chunks_free(chunks)
            raise EngineError(
                f"{self._path.name}: mtmd cannot cut an image of {width} x {height} pixels into tokens ({last_log()})."
                f" Send an image of a more usual shape.",
                details={"status": int(status)},
            )
        return chunks

    @staticmethod
    def _grid(native: Any) -> NDArray[np.int32]:
        """The M-RoPE positions of a chunk that begins at 0, shape (3, tokens): time, row, column."""
        image = mtmd_cpp.mtmd_input_chunk_get_tokens_image(native)
        count = mtmd_cpp.mtmd_input_chunk_get_n_tokens(native)
        positions = (mtmd_cpp.mtmd_decoder_pos * count)()
        mtmd_cpp.mtmd_helper_image_get_decoder_pos(image, 0, positions)
        return np.array([[place.t, place.y, place.x] for place in positions], dtype=np.int32).T

    def close(self) -> None:
        """Free the projector and forget its embeddings. Safe to call again."""
        self._kept.clear()
        self._kept_bytes = 0
        self._drop_prepared()
        if self._context:
            mtmd_cpp.mtmd_free(self._context)
            self._context = None


def _natives(chunks: Any) -> Iterator[Any]:
    for place in range(mtmd_cpp.mtmd_input_chunks_size(chunks)):
        yield mtmd_cpp.mtmd_input_chunks_get(chunks, place)
