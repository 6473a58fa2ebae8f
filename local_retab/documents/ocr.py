"""Reading pixels: lines of text with their places. This module owns RapidOCR, whose weights are in its wheel.

Nothing is downloaded: the engine gets the paths of the weights that are installed with it.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_retab.documents.line_reader import LineReader
from local_retab.documents.lines import Quad, TextLine
from local_retab.documents.ocr_cache import OcrCache
from local_retab.errors import NoTextError

if TYPE_CHECKING:
    from PIL.Image import Image

    from local_retab.settings import Settings

ENGINE = "rapidocr-3.10-ppocrv6-small-5"
"""Part of the key of what is cached; changes whenever the same pixels may give other lines."""

_WEIGHTS = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
}
_MIN_SCORE = 0.5
"""Mean probability of a line's characters below which it is noise."""
_DETECTION_SIDE = 1280
"""Longer side in pixels that text is looked for in; it is read from the page's own pixels. Full pages at 192 dpi
have the same lines as at 2000, in half the time."""
_LEAST_SIDE = 736
"""Shorter side in pixels that text is looked for in; smaller images are enlarged, to twice _DETECTION_SIDE at most."""
_UNBOUNDED = 1_000_000
"""Pixels of a side that the engine may be given: what is large is read from its own pixels."""
_CLOSER = 1.25
"""Enlargement from which the part of a page that has text is looked at once more by itself."""
_MARGIN = 4
"""Line heights around the lines found, in which others are looked for."""
_TALL = 1.5
"""Height to width from which the engine's crops are turned a quarter to the left."""
_JUDGES = 16
"""Longest lines that decide whether a page is upside down; single lines are often misjudged."""
_JUDGED_SHAPE = 10
"""Width to height of the part of a line that is judged. The classifier squeezes lines into a shape of 4 to 1, and what
is much longer into strokes that say nothing; much shorter parts have too few letters where print is faint."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A line that has not been read. ``crop``: (height, width, 3), blue, green, red; ``turned``: by a quarter."""

    crop: Any
    corners: Quad
    turned: bool


# One page at a time: the engine keeps state between its steps, and it takes all cores anyway.
_ENGINE_LOCK = threading.Lock()
_engines: dict[int, Any] = {}


def is_installed() -> bool:
    """Whether the optional dependency is there."""
    return find_spec("rapidocr") is not None and find_spec("onnxruntime") is not None


def read_lines(image: Image, *, filename: str, settings: Settings) -> tuple[TextLine, ...]:
    """The lines of text of an RGB image, in no certain order; none for a picture without text.

    Results are kept by the pixels' hash (Settings ``ocr_cache_bytes``). Raises NoTextError where the optional
    dependency is not installed.
    """
    cache = OcrCache(settings.home / "cache" / "ocr", settings.ocr_cache_bytes)
    key = hashlib.blake2b(digest_size=16)
    key.update(f"{ENGINE} {image.size} ".encode())
    key.update(image.tobytes())
    found = cache.get(key.hexdigest())
    if found is None:
        with _ENGINE_LOCK:
            found = _read(_engine(filename, settings.threads or -1), image)
        cache.put(key.hexdigest(), found)
    return found


def _engine(filename: str, threads: int) -> Any:
    if threads not in _engines:
        if not is_installed():
            raise NoTextError(
                f"{filename}: a page has no text that can be used, and reading it from its pixels needs the OCR "
                f"engine. Run `pip install 'local-retab[ocr]'`, or send the document's text."
            )
        import rapidocr

        folder = Path(rapidocr.__file__).parent / "models"
        paths = {f"{step}.model_path": str(folder / name) for step, name in _WEIGHTS.items()}
        _engines[threads] = rapidocr.RapidOCR(
            params={
                **paths,
                "Global.log_level": "critical",
                "Global.max_side_len": _UNBOUNDED,
                "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            }
        )
    return _engines[threads]


def _read(engine: Any, image: Image) -> tuple[TextLine, ...]:
    import numpy as np

    pixels = np.ascontiguousarray(np.asarray(image)[:, :, ::-1])  # OpenCV's order is blue, green, red
    found = _find(engine, pixels)
    if not found:
        return ()
    left, top, right, bottom = _part_with_text([line.corners for line in found], image.size)
    if _scale(right - left, bottom - top) >= _CLOSER * _scale(*image.size):
        closer = _find(engine, np.ascontiguousarray(pixels[top:bottom, left:right]))
        found = [replace(line, corners=_moved(line.corners, left, top)) for line in closer] or found
    recogniser = engine._load_rec_model()
    reader = LineReader(recogniser.session, recogniser.postprocess_op.character)
    lines: list[TextLine] = []
    for line in _upright(engine, found):
        reading = reader.read(line.crop)
        if reading.text.strip() and reading.score >= _MIN_SCORE:
            lines.append(TextLine(reading.text, line.corners, reading.centres))
    return tuple(lines)


def _find(engine: Any, pixels: Any) -> list[_Found]:
    """The lines of an image, with their corners in its pixels."""
    from rapidocr.main import RapidOCRError
    from rapidocr.utils.process_img import map_boxes_to_original

    scaled, record = engine.preprocess_img(pixels)
    detector = engine._load_det_model()
    height, width = scaled.shape[:2]
    scale = _scale(width, height)
    # The engine knows the longer side of what is made smaller, and the shorter side of what is enlarged.
    detector.limit_type = "min" if scale >= 1 else "max"
    detector.limit_side_len = round(scale * min(width, height)) if scale >= 1 else _DETECTION_SIDE
    try:
        crops, found = engine.detect_and_crop(scaled, record)
    except RapidOCRError:  # its way to say that it found nothing
        return []
    tall = [_is_tall(_quad(box)) for box in found.boxes]
    boxes = map_boxes_to_original(found.boxes, record, *pixels.shape[:2])
    return [_Found(crop, _quad(box), turned) for crop, box, turned in zip(crops, boxes, tall, strict=True)]


def _part_with_text(quads: Sequence[Quad], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part of an image that the lines stand in, with a margin."""
    heights = sorted(min(math.dist(quad[0], quad[1]), math.dist(quad[1], quad[2])) for quad in quads)
    margin = _MARGIN * heights[len(heights) // 2]
    across = [x for quad in quads for x, _ in quad]
    down = [y for quad in quads for _, y in quad]
    return (
        max(int(min(across) - margin), 0),
        max(int(min(down) - margin), 0),
        min(math.ceil(max(across) + margin), size[0]),
        min(math.ceil(max(down) + margin), size[1]),
    )


def _scale(width: int, height: int) -> float:
    """By which an image of this size is scaled to look for text in it."""
    longer, shorter = max(width, height), min(width, height)
    if longer > _DETECTION_SIDE:
        return _DETECTION_SIDE / longer
    return max(min(_LEAST_SIDE / shorter, 2 * _DETECTION_SIDE / longer), 1.0)


def _moved(quad: Quad, across: float, down: float) -> Quad:
    first, second, third, fourth = ((x + across, y + down) for x, y in quad)
    return first, second, third, fourth


def _quad(box: Any) -> Quad:
    first, second, third, fourth = ((float(x), float(y)) for x, y in box)
    return first, second, third, fourth


def _is_tall(quad: Quad) -> bool:
    """Whether the engine has turned the crop of this box, computed as it does."""
    first, second, third, fourth = quad
    width = int(max(math.dist(first, second), math.dist(third, fourth)))
    height = int(max(math.dist(first, fourth), math.dist(second, third)))
    return height >= _TALL * max(width, 1)


def _upright(engine: Any, found: Sequence[_Found]) -> list[_Found]:
    """Each line turned so that it reads from left to right, and its corners in that order.

    On a page that is turned sideways a box that is neither wide nor tall, such as a single digit, is turned as
    the others are. Which of its two ways the text stands is judged for all lines of one direction together.
    """
    import numpy as np

    lengths = [
        max(math.dist(line.corners[0], line.corners[1]), math.dist(line.corners[1], line.corners[2])) for line in found
    ]
    sideways = sum(length if line.turned else -length for length, line in zip(lengths, found, strict=True)) > 0
    upright: list[_Found] = []
    for line in found:
        stray = sideways and not line.turned and line.crop.shape[1] < _TALL * line.crop.shape[0]
        crop = np.ascontiguousarray(np.rot90(line.crop)) if stray else line.crop
        first, second, third, fourth = line.corners
        down = line.turned or stray
        upright.append(_Found(crop, (second, third, fourth, first) if down else line.corners, down))
    for direction in (False, True):
        group = sorted((i for i, line in enumerate(upright) if line.turned is direction), key=lambda i: -lengths[i])
        if group and _upside_down(engine, [upright[i].crop for i in group[:_JUDGES]]):
            for i in group:
                first, second, third, fourth = upright[i].corners
                crop = np.ascontiguousarray(upright[i].crop[::-1, ::-1])
                upright[i] = _Found(crop, (third, fourth, first, second), direction)
    return upright


def _upside_down(engine: Any, crops: list[Any]) -> bool:
    _, judged = engine.cls_and_rotate([crop[:, : _JUDGED_SHAPE * crop.shape[0]] for crop in crops])
    return bool(sum(score if label == "180" else -score for label, score in judged.cls_res) > 0)
