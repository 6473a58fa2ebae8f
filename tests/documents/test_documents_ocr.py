"""Reading pixels with the real engine, whose weights come in its wheel."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from local_retab.documents import Document, Page, Recognition, load, ocr, pages
from local_retab.documents.ocr_cache import OcrCache
from local_retab.errors import DocumentLimitError, NoTextError
from local_retab.settings import Settings

pytest.importorskip("rapidocr")
pytest.importorskip("onnxruntime")

FONT = ImageFont.load_default(26)
LINES = ("Invoice number 4711", "Date 2024-03-15", "Total 1,234.50 EUR", "Thank you for your order")


def picture(lines: tuple[str, ...] = LINES, size: tuple[int, int] = (640, 330)) -> Image.Image:
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for index, line in enumerate(lines):
        draw.text((40, 40 + 60 * index), line, fill="black", font=FONT)
    return image


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


Read = Callable[[Image.Image | bytes], Page]


@pytest.fixture
def read(settings: Settings) -> Read:
    def read_first_page(source: Image.Image | bytes) -> Page:
        document = load(source, settings=settings)
        page = next(pages(document, dpi=72, settings=settings))
        return Recognition(document, settings, required=True).read(page)

    return read_first_page


def text_of(page: Page) -> list[str]:
    return [" ".join(line.split()) for line in page.text.splitlines() if line.strip()]


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_page_is_read_however_it_is_turned(read: Read, turn: int) -> None:
    upright = picture()
    page = read(upright.rotate(turn, expand=True))
    assert page.read
    assert text_of(page) == list(LINES)
    words = {word.text: word for word in page.words}
    # Turned back, every word is where it was drawn, within the margin that the engine leaves around text.
    number = words["4711"]
    left, top, right, bottom = FONT.getbbox("Invoice number ")[2] + 40, 40, FONT.getbbox(LINES[0])[2] + 40, 72
    expected = {
        0: (left, top, right, bottom),
        90: (top, 640 - right, bottom, 640 - left),
        180: (640 - right, 330 - bottom, 640 - left, 330 - top),
        270: (330 - bottom, left, 330 - top, right),
    }[turn]
    assert (number.left, number.top, number.right, number.bottom) == pytest.approx(expected, abs=14)


@pytest.mark.parametrize("turn", [0, 180])
def test_a_page_of_long_lines_is_not_taken_for_one_upside_down(read: Read, turn: int) -> None:
    lines = tuple(
        f"{number}. " + "neither party is liable for what it could not have known, " * 2 for number in range(4)
    )
    image = Image.new("RGB", (1560, 200), "white")
    draw = ImageDraw.Draw(image)
    for index, line in enumerate(lines):
        draw.text((20, 20 + 45 * index), line, fill="black", font=FONT)
    assert text_of(read(image.rotate(turn))) == [line.strip() for line in lines]


def test_a_page_that_is_askew_keeps_its_lines(read: Read) -> None:
    lines = ("Description      Qty      Amount", "Stock photo      1        300.00", "Paper A4         12       81.20")
    page = read(picture(lines).rotate(4, expand=True, fillcolor="white", resample=Image.Resampling.BICUBIC))
    assert [line.split()[-1] for line in text_of(page)] == ["Amount", "300.00", "81.20"]


def test_small_print_on_a_large_page_is_looked_at_closely(read: Read) -> None:
    page = Image.new("RGB", (1400, 2000), "white")
    page.paste(picture().resize((320, 165), Image.Resampling.LANCZOS), (500, 1000))
    found = read(page)
    assert text_of(found) == list(LINES)
    number = next(word for word in found.words if word.text == "4711")
    left, right = FONT.getbbox("Invoice number ")[2] + 40, FONT.getbbox(LINES[0])[2] + 40
    assert (number.left - 500, number.right - 500) == pytest.approx((left / 2, right / 2), abs=8)
    assert (number.top - 1000, number.bottom - 1000) == pytest.approx((20, 36), abs=8)


def test_a_single_line_is_not_enlarged_without_bound(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    strip = picture(("Invoice number 4711 of 2024-03-15",)).crop((0, 20, 640, 90)).resize((1280, 70))
    engine = ocr._engine("strip.png", 1)
    detector, sizes = engine._load_det_model(), []
    session = detector.session
    monkeypatch.setattr(detector, "session", lambda pixels: (sizes.append(pixels.shape[2:]), session(pixels))[1])
    lines = ocr.read_lines(strip, filename="strip.png", settings=settings.model_copy(update={"threads": 1}))
    assert [line.text for line in lines] == ["Invoice number 4711 of 2024-03-15"]
    assert max(max(size) for size in sizes) <= 2560


def test_columns_stay_beside_one_another(read: Read) -> None:
    image = Image.new("RGB", (900, 260), "white")
    draw = ImageDraw.Draw(image)
    for row, (left, right) in enumerate(
        [("Sold to", "Ship to"), ("Anna Bell", "Carl Dent"), ("12 High Street", "9 Low Road")]
    ):
        draw.text((40, 40 + 60 * row), left, fill="black", font=FONT)
        draw.text((520, 40 + 60 * row), right, fill="black", font=FONT)
    page = read(image)
    rows = [line for line in page.text.splitlines() if line.strip()]
    assert [row.split("  ")[0].strip() for row in rows] == ["Sold to", "Anna Bell", "12 High Street"]
    assert len({row.index(text) for row, text in zip(rows, ["Ship to", "Carl Dent", "9 Low Road"], strict=True)}) == 1


def scanned(image: Image.Image, stamp: str = "", mirrored_text: tuple[str, ...] = ()) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=image.size, invariant=1)
    canvas.drawImage(ImageReader(image), 0, 0, *image.size)
    if stamp:
        canvas.drawString(20, 10, stamp)
    text = canvas.beginText(20, image.size[1] - 40)
    text.setTextRenderMode(3)
    for line in mirrored_text:
        text.textLine(line)
    canvas.drawText(text)
    canvas.save()
    return out.getvalue()


def test_a_scan_in_a_pdf_is_read_although_it_has_a_stamp(read: Read) -> None:
    assert text_of(read(scanned(picture(), stamp="Scanned 1")))[:4] == list(LINES)


def test_invisible_text_of_another_alphabet_is_not_believed(read: Read) -> None:
    shifted = tuple("Wklv whaw phdqv qrwklqj dqg kdv qr yrzhov dw doo zklfk wkh uxoh vhhv qrz" for _ in range(6))
    assert text_of(read(scanned(picture(), mirrored_text=shifted))) == list(LINES)


def test_a_picture_beside_text_adds_its_words_and_changes_none(read: Read) -> None:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(640, 800), invariant=1)
    for row in range(12):
        canvas.drawString(40, 760 - 20 * row, f"Line {row} of the text layer, exact as l1O0")
    canvas.drawImage(ImageReader(picture()), 0, 100, 640, 330)
    canvas.save()
    found = text_of(read(out.getvalue()))
    assert found[:12] == [f"Line {row} of the text layer, exact as l1O0" for row in range(12)]
    assert found[12:] == list(LINES)


def test_pages_with_good_text_and_blank_pages_are_not_read(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Iterator[None]:
        raise AssertionError("read by OCR")

    monkeypatch.setattr(ocr, "read_lines", refuse)
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(300, 200), invariant=1)
    canvas.drawString(20, 100, "Hello")
    canvas.showPage()
    canvas.showPage()
    canvas.save()
    document = load(out.getvalue(), settings=settings)
    recognition = Recognition(document, settings, required=True)
    assert [recognition.read(page).read for page in pages(document, dpi=72, settings=settings)] == [False, False]


def test_the_same_pixels_are_read_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture()
    first = ocr.read_lines(image, filename="a.png", settings=settings)
    assert [line.text for line in first]

    def refuse(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(ocr, "_read", refuse)
    again = ocr.read_lines(image, filename="b.png", settings=settings)
    assert [(line.text, line.corners) for line in again] == [(line.text, line.corners) for line in first]
    with pytest.raises(AssertionError, match="read again"):
        ocr.read_lines(image, filename="a.png", settings=settings.model_copy(update={"ocr_cache_bytes": 0}))


def test_the_cache_stays_within_its_limit_and_survives_damage(tmp_path: Path, settings: Settings) -> None:
    lines = ocr.read_lines(picture(), filename="a.png", settings=settings)
    cache = OcrCache(tmp_path / "small", 3000)
    for index in range(130):
        cache.put(f"{index:04}", lines)
    assert sum(path.stat().st_size for path in (tmp_path / "small").iterdir()) < 3000 + 64 * 1500
    assert cache.get("0129") is not None
    (tmp_path / "small" / "0129.json").write_text('[["x", [], [0.5]]]')
    assert cache.get("0129") is None
    assert OcrCache(tmp_path / "small", 0).get("0128") is None


def test_nothing_is_logged_or_left_running(read: Read, capfd: pytest.CaptureFixture[str]) -> None:
    read(picture())
    assert logging.getLogger("RapidOCR").level >= logging.CRITICAL
    assert capfd.readouterr() == ("", "")


def test_without_the_engine_a_scan_is_an_error_and_a_picture_beside_text_is_left(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ocr, "is_installed", lambda: False)
    monkeypatch.setattr(ocr, "_engines", {})
    document = load(picture(), settings=settings)
    page = next(pages(document, dpi=72, settings=settings))
    with pytest.raises(NoTextError, match=r"local-retab\[ocr\]"):
        Recognition(document, settings, required=True).read(page)
    assert not Recognition(document, settings, required=False).read(page).read


def test_reading_ends_at_its_time_limit(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, max_ocr_seconds=1e-9)
    document: Document = load(picture(), settings=settings)
    with pytest.raises(DocumentLimitError, match="LOCAL_RETAB_MAX_OCR_SECONDS"):
        Recognition(document, settings, required=True).read(next(pages(document, dpi=72, settings=settings)))


def test_ocr_can_be_switched_off_and_on(tmp_path: Path) -> None:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(400, 200), invariant=1)
    canvas.setFontSize(20)
    canvas.drawString(20, 100, "Hello World")
    canvas.save()
    for mode, read in (("never", False), ("auto", False), ("always", True)):
        settings = Settings(home=tmp_path, ocr=mode)
        document = load(out.getvalue(), settings=settings)
        page = next(pages(document, dpi=144, settings=settings))
        found = Recognition(document, settings, required=True).read(page)
        assert (found.read, found.text.strip()) == (read, "Hello World")
