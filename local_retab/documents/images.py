"""Image documents: every frame an upright RGB page. Pillow, and pillow-heif for HEIC, are used here only."""

from __future__ import annotations

import io
import math
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from local_retab.documents.clock import ReadingClock
from local_retab.documents.document import Document, Page, nothing_selected
from local_retab.errors import (
    CorruptDocumentError,
    DocumentError,
    DocumentLimitError,
    UnsupportedDocumentError,
)
from local_retab.settings import Settings

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "AVIF")
# The further pictures of these are previews, depth maps and variants of the first, not pages.
_ONE_PAGE_FORMATS = {"JPEG", "MPO", "HEIF"}
# Pillow reports damage as warnings, and Python's warning filters belong to the whole process: one decode at a
# time leaves them as they were.
_PILLOW = threading.Lock()
_POINTS_PER_INCH = 72
_ORIENTATION_TAG = 0x0112


def page_count(document: Document, settings: Settings) -> int:
    """The number of frames. Raises as ``pages`` does on opening."""
    return _Frames(document, settings, ReadingClock(document.filename, settings)).count


def pages(document: Document, *, dpi: int, settings: Settings, clock: ReadingClock) -> Iterator[Page]:
    """A page for each frame, of the frame's own pixels: nothing is resampled.

    Raises CorruptDocumentError for what does not decode, DocumentLimitError for frames, pixels or seconds, and
    UnsupportedDocumentError for a codec that this installation lacks.
    """
    frames = _Frames(document, settings, clock)
    if not any(map(document.wants, range(1, frames.count + 1))):
        raise nothing_selected(document, frames.count)
    for index in range(frames.count):
        if not document.wants(index + 1):
            continue
        width, height = frames.size(index)
        scale = _POINTS_PER_INCH / dpi
        yield Page(index + 1, width * scale, height * scale, (), "", frames.drawing(index))


def draw(document: Document, number: int, *, settings: Settings, clock: ReadingClock) -> Image:
    """Frame ``number``, from 1, decoded anew."""
    return _Frames(document, settings, clock).drawing(number - 1)()


def upright_rgb(image: Image) -> Image:
    """A copy in RGB, turned as its EXIF orientation says, transparency on white.

    16-bit, 32-bit and float grey levels are scaled so that the largest value is white: their range is not
    recorded (12-bit scans are common), and paper is white. Raises ValueError for levels that are not numbers.
    """
    from PIL import Image as pillow

    image.load()
    orientation = _orientation(image)
    if image.mode.startswith(("I", "F")):
        image = _grey_levels(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = pillow.new("RGBA", image.size, "white")
        image = pillow.alpha_composite(paper, image)
    image = image.convert("RGB")
    turns = {
        2: pillow.Transpose.FLIP_LEFT_RIGHT,
        3: pillow.Transpose.ROTATE_180,
        4: pillow.Transpose.FLIP_TOP_BOTTOM,
        5: pillow.Transpose.TRANSPOSE,
        6: pillow.Transpose.ROTATE_270,
        7: pillow.Transpose.TRANSVERSE,
        8: pillow.Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def encode_png(image: Image, filename: str, settings: Settings) -> bytes:
    """A Pillow image as the bytes of an upright RGB PNG."""
    with _decoding(filename):
        _check_pixels(image, filename, settings)
        buffer = io.BytesIO()
        upright_rgb(image).save(buffer, "PNG")
        return buffer.getvalue()


class _Frames:
    """The frames of one file. They share one reader, since an animation decodes forward from its beginning."""

    def __init__(self, document: Document, settings: Settings, clock: ReadingClock) -> None:
        self._filename = document.filename
        self._settings = settings
        self._clock = clock
        self._intact = True
        with self._reading():
            self._image = _open(document)
            self._check_pixels()
            self.count = self._count()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """After a failure the reader may give half an image without complaint, and is not asked again."""
        with _decoding(self._filename, self._clock):
            if not self._intact:
                raise OSError("the reader failed before")
            self._intact = False
            yield
            self._intact = True

    def _count(self) -> int:
        """By seeking, at most one frame beyond the limit: Pillow's own count reads every frame there is."""
        if self._image.format in _ONE_PAGE_FORMATS:
            return 1
        limit = self._settings.max_pages
        for index in range(1, limit + 1):
            self._clock.check()
            try:
                self._image.seek(index)
            except EOFError:
                return index
            self._check_pixels()
        raise DocumentLimitError(
            f"{self._filename!r} has more than {limit:,} frames, each of which is a page. Split it, or raise"
            " LOCAL_RETAB_MAX_PAGES."
        )

    def _check_pixels(self) -> None:
        _check_pixels(self._image, self._filename, self._settings)

    def _seek(self, index: int) -> None:
        if self._image.format not in _ONE_PAGE_FORMATS:
            self._image.seek(index)
            self._check_pixels()

    def size(self, index: int) -> tuple[int, int]:
        """Width and height of the upright frame in pixels."""
        with self._reading():
            self._seek(index)
            if self._image.format == "PNG":
                # Its orientation may stand after the pixels, and getexif would hide an error in these.
                self._image.load()
            width, height = self._image.size
            # Pillow turns TIFF frames itself, and their size already is the upright one.
            turned = self._image.format != "TIFF" and _orientation(self._image) in (5, 6, 7, 8)
            return (height, width) if turned else (width, height)

    def drawing(self, index: int) -> Callable[[], Image]:
        def draw() -> Image:
            with self._reading():
                self._seek(index)
                return upright_rgb(self._image)

        return draw


def _open(document: Document) -> Image:
    """The image with its header read and no pixel decoded."""
    from PIL import Image as pillow
    from PIL import features

    stream = io.BytesIO(document.data)
    if document.mime_type == "image/heic":
        try:
            from pillow_heif import HeifImageFile
        except ImportError as error:
            raise UnsupportedDocumentError(
                f"{document.filename!r} is a HEIC image, for which a codec is missing. Run"
                " `pip install 'local-retab[heic]'`, or convert the image to JPEG or PNG."
            ) from error
        # Not register_heif_opener, which would change Pillow for the whole process.
        image: Image = HeifImageFile(stream, document.filename)
        return image
    if document.mime_type == "image/avif" and not features.check("avif"):
        raise UnsupportedDocumentError(
            f"{document.filename!r} is an AVIF image, which this build of Pillow cannot decode. Convert it to JPEG"
            " or PNG."
        )
    return pillow.open(stream, formats=_FORMATS)


@contextmanager
def _decoding(filename: str, clock: ReadingClock | None = None) -> Iterator[None]:
    from PIL import Image as pillow

    with _PILLOW, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if clock is None:
                yield
            else:
                with clock.running():
                    yield
        except DocumentError:
            raise
        except (pillow.DecompressionBombError, MemoryError) as error:
            raise DocumentLimitError(
                f"{filename!r} declares more pixels than are safe to decode. Scale the image down."
            ) from error
        # Pillow's decoders raise whatever their parsing of hostile bytes runs into: OSError, SyntaxError,
        # ValueError, EOFError, IndexError, struct.error, ZeroDivisionError and more.
        except Exception as error:
            raise CorruptDocumentError(
                f"{filename!r} cannot be decoded as an image: it is damaged or truncated. Save or download it again."
            ) from error


def _check_pixels(image: Image, filename: str, settings: Settings) -> None:
    width, height = image.size
    if width * height > settings.max_page_pixels:
        raise DocumentLimitError(
            f"{filename!r} is {width:,} x {height:,} pixels, over the limit of {settings.max_page_pixels:,} pixels."
            " Scale the image down, or raise LOCAL_RETAB_MAX_PAGE_PIXELS."
        )


def _orientation(image: Image) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) where there is none or it cannot be read."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    # Damaged metadata, reported by any of the errors of its parser, says nothing against the pixels.
    except Exception:  # noqa: BLE001
        return 1
    return value if isinstance(value, int) else 1


def _grey_levels(image: Image) -> Image:
    # 16-bit modes differ by byte order, and not all of them support what follows.
    levels = image.convert("I") if image.mode.startswith("I") else image
    low, high = levels.getextrema()
    if not (isinstance(low, int | float) and isinstance(high, int | float)):
        raise ValueError(f"grey levels expected in mode {levels.mode}")
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("grey levels that are not numbers")
    low = min(low, 0)
    scale = 255 / (high - low) if high > low else 0.0
    grey = levels.point(lambda level: level * scale - low * scale).convert("L")
    # A transparent level is given in the old range.
    grey.info.pop("transparency", None)
    return grey
