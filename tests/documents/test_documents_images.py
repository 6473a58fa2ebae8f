from __future__ import annotations

import io
import struct
import sys
import warnings
import zlib
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from in_process import in_process
from PIL import Image

from local_retab.documents import Document, Page, clock, page_count, pages
from local_retab.errors import CorruptDocumentError, DocumentLimitError, UnsupportedDocumentError
from local_retab.settings import Settings

Read = Callable[..., list[Page]]
Loaded = Callable[..., Document]
Encode = Callable[..., bytes]

RED, GREEN, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (255, 255, 255), (0, 0, 0)
ORIENTATION = 0x0112


def corner(size: tuple[int, int] = (40, 20)) -> Image.Image:
    """White with a red square in the top left corner."""
    image = Image.new("RGB", size, WHITE)
    image.paste(RED, (0, 0, 8, 8))
    return image


def noise() -> Image.Image:
    """What compresses badly, so that half of a file is half of the pixels."""
    return Image.frombytes("RGB", (64, 64), bytes(at * at % 251 for at in range(64 * 64 * 3)))


def near(pixel: object, colour: tuple[int, int, int]) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(one - other) <= 40 for one, other in zip(pixel, colour, strict=True))


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "AVIF"])
def test_an_image_is_a_page_of_its_own_pixels(image_format: str, read: Read, encode: Encode) -> None:
    (page,) = read(encode(corner(), image_format))
    assert (page.number, page.width, page.height, page.words, page.text) == (1, 40, 20, (), "")
    image = page.render()
    assert (image.mode, image.size) == ("RGB", (40, 20))
    assert near(image.getpixel((3, 3)), RED)
    assert near(image.getpixel((35, 15)), WHITE)


def test_points_are_pixels_at_the_dpi_asked_for(loaded: Loaded, encode: Encode, settings: Settings) -> None:
    (page,) = pages(loaded(encode(corner(), "PNG")), dpi=144, settings=settings)
    assert (page.width, page.height, page.render().size) == (20, 10, (40, 20))


def test_heic_is_read(read: Read) -> None:
    import pillow_heif

    out = io.BytesIO()
    pillow_heif.from_pillow(corner((64, 64))).save(out, quality=90)
    (page,) = read(out.getvalue(), "photo.heic")
    assert (page.width, page.height) == (64, 64)
    assert near(page.render().getpixel((3, 3)), RED)


def test_heic_without_its_codec_says_what_to_install(
    loaded: Loaded, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    document = loaded(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "photo.heic")
    with pytest.raises(UnsupportedDocumentError, match=r"'photo\.heic'.*pip install 'local-retab\[heic\]'"):
        page_count(document, settings)


UPRIGHT_CORNERS = {
    1: (3, 3),
    2: (36, 3),
    3: (36, 16),
    4: (3, 16),
    5: (3, 3),
    6: (16, 3),
    7: (16, 36),
    8: (3, 36),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_undone(orientation: int, image_format: str, read: Read, encode: Encode) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    (page,) = read(encode(corner(), image_format, exif=exif))
    image = page.render()
    turned = orientation >= 5
    assert image.size == (page.width, page.height) == ((20, 40) if turned else (40, 20))
    assert near(image.getpixel(UPRIGHT_CORNERS[orientation]), RED)


def test_a_damaged_orientation_is_none(read: Read, encode: Encode) -> None:
    (page,) = read(encode(corner(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff"))
    assert page.render().size == (40, 20)


@pytest.mark.parametrize(
    ("mode", "colour", "shown"),
    [
        ("1", 1, WHITE),
        ("L", 128, (128, 128, 128)),
        ("P", 1, None),
        ("CMYK", (0, 255, 255, 0), RED),
        ("YCbCr", (255, 128, 128), WHITE),
        ("LA", (0, 0), WHITE),
        ("RGBA", (255, 0, 0, 255), RED),
        ("RGBA", (0, 0, 0, 0), WHITE),
        ("RGBA", (0, 0, 0, 128), (127, 127, 127)),
    ],
)
def test_every_mode_becomes_rgb_on_white(
    mode: str, colour: object, shown: tuple[int, int, int] | None, settings: Settings
) -> None:
    from local_retab.documents import load

    image = Image.new(mode, (4, 4), colour)
    if mode == "P":
        image.putpalette([0, 0, 0, 255, 0, 0])
    (page,) = pages(load(image, settings=settings), dpi=72, settings=settings)
    assert page.render().getpixel((2, 2)) == (shown or RED)


def test_a_transparent_palette_colour_is_white(read: Read, encode: Encode) -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    (page,) = read(encode(image, "PNG", transparency=0))
    assert page.render().getpixel((2, 2)) == WHITE


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_sixteen_bit_grey_uses_its_whole_range(byte_order: str, read: Read, encode: Encode) -> None:
    levels = struct.pack(f"{byte_order}4H", 0, 1024, 2048, 4095)
    image = Image.frombytes("I;16" if byte_order == "<" else "I;16B", (4, 1), levels)
    (page,) = read(encode(image, "TIFF"))
    row = page.render()
    assert [row.getpixel((x, 0)) for x in range(4)] == [(0,) * 3, (63,) * 3, (127,) * 3, WHITE]


def test_float_and_32_bit_grey_are_scaled(read: Read, encode: Encode) -> None:
    floats = Image.frombytes("F", (3, 1), struct.pack("<3f", -1.0, 0.0, 1.0))
    integers = Image.frombytes("I", (3, 1), struct.pack("<3i", 0, 50_000, 100_000))
    for image in (floats, integers):
        row = read(encode(image, "TIFF"))[0].render()
        assert [row.getpixel((x, 0)) for x in range(3)] == [BLACK, (127,) * 3, WHITE]


def test_grey_levels_that_are_not_numbers_are_refused(loaded: Loaded, encode: Encode, settings: Settings) -> None:
    image = Image.frombytes("F", (2, 1), struct.pack("<2f", float("inf"), 1.0))
    (page,) = pages(loaded(encode(image, "TIFF"), "map.tif"), dpi=72, settings=settings)
    with pytest.raises(CorruptDocumentError, match=r"'map\.tif'"):
        page.render()


@pytest.mark.parametrize("image_format", ["TIFF", "GIF", "WEBP", "PNG"])
def test_every_frame_is_a_page(image_format: str, read: Read, encode: Encode) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, BLACK)]
    found = read(encode(frames[0], image_format, save_all=True, append_images=frames[1:]))
    assert [page.number for page in found] == [1, 2, 3]
    # Out of order, since an animation decodes forward.
    shown = {page.number: page.render().getpixel((4, 4)) for page in reversed(found)}
    assert near(shown[1], RED)
    assert near(shown[2], GREEN)
    assert near(shown[3], BLACK)


def test_frames_of_an_animation_are_composited(read: Read, encode: Encode) -> None:
    first = Image.new("RGB", (8, 8), RED)
    second = first.copy()
    second.paste(GREEN, (4, 4, 8, 8))
    found = read(encode(first, "GIF", save_all=True, append_images=[second]))
    image = found[1].render()
    assert (image.getpixel((1, 1)), image.getpixel((6, 6))) == (RED, GREEN)


def test_pages_of_a_tiff_may_differ_in_size(read: Read, encode: Encode) -> None:
    second = Image.new("1", (30, 10), 1)
    found = read(encode(corner(), "TIFF", save_all=True, append_images=[second]))
    assert [(page.width, page.height) for page in found] == [(40, 20), (30, 10)]
    assert [page.render().size for page in found] == [(40, 20), (30, 10)]


def test_the_preview_in_a_photo_is_no_page(read: Read, encode: Encode) -> None:
    photo = encode(corner(), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    assert len(read(photo, "photo.jpg")) == 1


def test_too_many_frames(loaded: Loaded, encode: Encode) -> None:
    frames = [Image.new("L", (2, 2), level) for level in (0, 100, 200)]
    document = loaded(encode(frames[0], "TIFF", save_all=True, append_images=frames[1:]), "fax.tif")
    assert page_count(document, in_process(max_pages=3)) == 3
    with pytest.raises(DocumentLimitError, match=r"'fax\.tif' has more than 2 frames.*LOCAL_RETAB_MAX_PAGES"):
        page_count(document, in_process(max_pages=2))


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and has next to no data."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\x00")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(7000, 6000), (10_000, 10_000), (60_000, 60_000)])
def test_too_many_pixels_are_refused_before_decoding(size: tuple[int, int], loaded: Loaded) -> None:
    document = loaded(png_header(*size), "bomb.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DocumentLimitError, match=r"'bomb\.png'.*pixels"):
            next(pages(document, dpi=72, settings=in_process()))


def test_the_pixel_limit_is_that_of_the_settings(loaded: Loaded, encode: Encode) -> None:
    document = loaded(encode(corner(), "PNG"))
    assert page_count(document, in_process(max_page_pixels=800)) == 1
    with pytest.raises(DocumentLimitError, match=r"40 x 20 pixels, over the limit of 799.*MAX_PAGE_PIXELS"):
        page_count(document, in_process(max_page_pixels=799))


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_a_truncated_image_is_refused_each_time(
    image_format: str, loaded: Loaded, encode: Encode, settings: Settings
) -> None:
    data = encode(noise(), image_format)
    document = loaded(data[: len(data) // 2], f"half.{image_format.lower()}")
    with pytest.raises(CorruptDocumentError, match=r"'half\..*damaged or truncated"):
        next(pages(document, dpi=72, settings=settings)).render()


def test_a_failed_drawing_fails_again(loaded: Loaded, encode: Encode, settings: Settings) -> None:
    data = encode(noise(), "JPEG")
    (page,) = pages(loaded(data[: len(data) // 2]), dpi=72, settings=settings)
    for _ in range(2):
        with pytest.raises(CorruptDocumentError):
            page.render()


def test_too_slow_to_decode(loaded: Loaded, encode: Encode, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(1000))
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: float(next(now))))
    document = loaded(encode(corner(), "PNG"), "slow.png")
    with pytest.raises(DocumentLimitError, match=r"'slow\.png' takes more than 1 seconds"):
        next(pages(document, dpi=72, settings=in_process(max_document_seconds=1)))


def test_pillow_is_left_as_it_was(read: Read, encode: Encode) -> None:
    from PIL import ImageFile

    before = (
        Image.MAX_IMAGE_PIXELS,
        ImageFile.LOAD_TRUNCATED_IMAGES,
        "HEIF" in Image.OPEN,
        warnings.filters[:],
    )
    read(encode(corner(), "PNG"))[0].render()
    after = (
        Image.MAX_IMAGE_PIXELS,
        ImageFile.LOAD_TRUNCATED_IMAGES,
        "HEIF" in Image.OPEN,
        warnings.filters[:],
    )
    assert before == after
