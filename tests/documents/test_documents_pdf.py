from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from itertools import count
from types import SimpleNamespace

import pytest
from in_process import in_process
from PIL import Image, ImageChops
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from local_retab.documents import Document, Page, clock, page_count, pages
from local_retab.errors import (
    CorruptDocumentError,
    DocumentLimitError,
    EmptyDocumentError,
    EncryptedDocumentError,
)
from local_retab.settings import Settings

Read = Callable[..., list[Page]]
Loaded = Callable[..., Document]
MakePdf = Callable[..., bytes]

HELLO = "BT /F 12 Tf 20 150 Td (Hello) Tj 100 -60 Td (World) Tj ET"
HELLO_TEXT = "Hello\n\n" + 17 * " " + "World"


def drawn(draw: Callable[[Canvas], object], **options: object) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(300, 200), invariant=1, **options)
    draw(canvas)
    canvas.save()
    return out.getvalue()


def ink(image: Image.Image) -> tuple[int, int, int, int] | None:
    """The box of all that is not white."""
    return ImageChops.invert(image.convert("L")).getbbox()


def test_a_page_has_its_size_words_text_and_pixels(read: Read, make_pdf: MakePdf) -> None:
    (page,) = read(make_pdf([HELLO]))
    assert (page.number, page.width, page.height, page.text) == (
        1,
        300,
        200,
        HELLO_TEXT,
    )
    hello, world = page.words
    assert (hello.text, world.text) == ("Hello", "World")
    assert (hello.left, world.left) == (pytest.approx(20), pytest.approx(120))
    assert hello.top < 50 < hello.bottom < world.top < 110 < world.bottom
    image = page.render()
    assert (image.mode, image.size) == ("RGB", (300, 200))


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("box", ["/MediaBox [0 0 300 200]", "/MediaBox [-40 -30 300 210] /CropBox [5 10 295 195]"])
def test_word_boxes_lie_on_the_ink_of_the_displayed_page(
    rotation: int, box: str, read: Read, make_pdf: MakePdf
) -> None:
    (page,) = read(make_pdf([HELLO], f"{box} /Rotate {rotation}"))
    image = page.render()
    assert image.size == (round(page.width), round(page.height))
    assert (page.width > page.height) == (rotation in {0, 180})
    assert [word.text for word in page.words] == ["Hello", "World"]
    for word in page.words:
        left, top, right, bottom = (round(edge) for edge in (word.left, word.top, word.right, word.bottom))
        found = ink(image.crop((left - 1, top - 1, right + 1, bottom + 1)))
        assert found is not None
        # Along the text the glyphs fill the box; across it they leave room for accents and descenders.
        assert max(found[2] - found[0], found[3] - found[1]) >= max(right - left, bottom - top) - 3
        image.paste("white", (left - 1, top - 1, right + 1, bottom + 1))
    assert ink(image) is None


def test_inherited_boxes_and_rotation_count(read: Read, make_pdf: MakePdf) -> None:
    (page,) = read(make_pdf([HELLO], "", "/MediaBox [0 0 300 200] /Rotate 90"))
    assert (page.width, page.height) == (200, 300)
    assert page.words[0].top == pytest.approx(20)


def test_text_turned_to_be_upright_on_a_turned_page_is_laid_out_in_lines(read: Read, make_pdf: MakePdf) -> None:
    content = "BT /F 12 Tf 0 1 -1 0 40 20 Tm (First line) Tj 0 1 -1 0 60 20 Tm (Second line) Tj ET"
    (page,) = read(make_pdf([content], "/MediaBox [0 0 300 200] /Rotate 90"))
    assert page.text == "First line\nSecond line"


def test_text_up_the_side_comes_last(read: Read, make_pdf: MakePdf) -> None:
    content = "BT /F 12 Tf 0 1 -1 0 20 20 Tm (Form revised) Tj 1 0 0 1 60 100 Tm (Body text) Tj ET"
    (page,) = read(make_pdf([content]))
    assert page.text == "Body text\n\nForm revised"


def test_the_file_is_read_page_by_page_and_may_be_left(loaded: Loaded, make_pdf: MakePdf, settings: Settings) -> None:
    document = loaded(make_pdf([HELLO, HELLO.replace("Hello", "Again"), HELLO]))
    assert page_count(document, settings) == 3
    iterator = pages(document, dpi=72, settings=settings)
    first, second = next(iterator), next(iterator)
    iterator.close()
    assert (first.number, second.number, second.words[0].text) == (1, 2, "Again")
    assert ink(second.render()) is not None


def test_pages_render_at_the_dpi_asked_for(loaded: Loaded, make_pdf: MakePdf, settings: Settings) -> None:
    (page,) = pages(loaded(make_pdf([HELLO])), dpi=144, settings=settings)
    assert (page.width, page.height, page.render().size) == (300, 200, (600, 400))


def test_a_page_without_text_has_none(read: Read, make_pdf: MakePdf) -> None:
    (page,) = read(make_pdf(["10 10 50 50 re f"]))
    assert (page.words, page.text) == ((), "")
    assert ink(page.render()) == (10, 140, 60, 190)


def test_text_off_the_page_is_left_out(read: Read, make_pdf: MakePdf) -> None:
    (page,) = read(make_pdf(["BT /F 12 Tf -200 100 Td (hidden) Tj 220 0 Td (seen) Tj ET"]))
    assert page.text == "seen"


def test_form_fields_and_notes_are_words_and_drawn(read: Read) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.drawString(20, 150, "Name")
        form = canvas.acroForm
        form.textfield(name="name", value="Ann Lee", x=80, y=145, width=150, height=16, borderWidth=0)
        form.textfield(name="pin", value="4711", x=80, y=105, width=150, height=16, fieldFlags="password")
        form.checkbox(name="yes", checked=True, x=20, y=60, size=14)
        form.checkbox(name="no", checked=False, x=20, y=20, size=14)
        canvas.freeTextAnnotation("Paid in full", Rect=(120, 20, 280, 40), DA="/Helv 10 Tf")

    (page,) = read(drawn(draw))
    assert page.text.split("\n")[0].split() == ["Name", "Ann", "Lee"]
    assert sorted(word.text for word in page.words) == sorted(["Name", "Ann", "Lee", "☒", "☐", "Paid", "in", "full"])
    field = next(word for word in page.words if word.text == "Ann")
    assert 80 <= field.left <= 84
    assert ink(page.render().crop((82, 40, 228, 54))) is not None


def test_hidden_fields_are_left_out(read: Read) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.drawString(20, 20, "seen")
        canvas.acroForm.textfield(name="a", value="secret", x=80, y=145, width=150, height=16, annotationFlags="hidden")

    (page,) = read(drawn(draw))
    assert page.text == "seen"


@pytest.mark.parametrize("strength", [40, 128])
def test_a_password_is_asked_for(strength: int, loaded: Loaded, settings: Settings) -> None:
    encryption = StandardEncryption("open", "own", strength=strength)
    data = drawn(lambda canvas: canvas.drawString(20, 20, "secret"), encrypt=encryption)
    document = loaded(data, "contract.pdf")
    with pytest.raises(EncryptedDocumentError, match=r"'contract\.pdf'.*password.*without protection"):
        next(pages(document, dpi=72, settings=settings))
    with pytest.raises(EncryptedDocumentError):
        page_count(document, settings)


def test_a_file_that_only_restricts_its_owner_opens(read: Read) -> None:
    encryption = StandardEncryption("", "own", strength=128, canCopy=0)
    data = drawn(lambda canvas: canvas.drawString(20, 20, "readable"), encrypt=encryption)
    assert read(data)[0].text == "readable"


def test_a_broken_file_says_so(loaded: Loaded, settings: Settings) -> None:
    with pytest.raises(CorruptDocumentError, match=r"'scan\.pdf' cannot be opened as a PDF"):
        next(pages(loaded(b"%PDF-1.7\nnothing more", "scan.pdf"), dpi=72, settings=settings))


def test_a_file_without_pages_says_so(loaded: Loaded, make_pdf: MakePdf, settings: Settings) -> None:
    with pytest.raises(EmptyDocumentError, match=r"'none\.pdf' has no pages"):
        page_count(loaded(make_pdf([]), "none.pdf"), settings)


def test_a_broken_page_is_named(loaded: Loaded, make_pdf: MakePdf, settings: Settings) -> None:
    data = make_pdf([HELLO, HELLO]).replace(b"/Kids [4 0 R 6 0 R]", b"/Kids [4 0 R 3 0 R]")
    iterator = pages(loaded(data, "half.pdf"), dpi=72, settings=settings)
    assert next(iterator).number == 1
    with pytest.raises(CorruptDocumentError, match=r"Page 2 of 'half\.pdf'"):
        next(iterator)


def test_too_many_pages(loaded: Loaded, make_pdf: MakePdf) -> None:
    document = loaded(make_pdf([HELLO] * 3), "long.pdf")
    with pytest.raises(
        DocumentLimitError, match=r"'long\.pdf' has 3 pages, over the limit of 2.*LOCAL_RETAB_MAX_PAGES"
    ):
        next(pages(document, dpi=72, settings=in_process(max_pages=2)))
    assert page_count(document, in_process(max_pages=3)) == 3


def test_too_much_text(loaded: Loaded, make_pdf: MakePdf) -> None:
    iterator = pages(loaded(make_pdf([HELLO] * 2), "long.pdf"), dpi=72, settings=in_process(max_text_chars=19))
    assert next(iterator).number == 1
    with pytest.raises(DocumentLimitError, match=r"'long\.pdf' has more than 19 characters.*first 2 pages"):
        next(iterator)


def test_too_many_pixels_are_refused_and_not_reduced(loaded: Loaded, make_pdf: MakePdf) -> None:
    (page,) = pages(loaded(make_pdf([HELLO]), "poster.pdf"), dpi=144, settings=in_process(max_page_pixels=239_999))
    with pytest.raises(DocumentLimitError, match=r"Page 1 of 'poster\.pdf' is 600 x 400 pixels at 144 dpi.*239,999"):
        page.render()


def ticking(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A clock that goes on by a second at each look."""
    seconds = count()
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))
    return seconds


def test_too_slow_to_read(loaded: Loaded, make_pdf: MakePdf, monkeypatch: pytest.MonkeyPatch) -> None:
    ticking(monkeypatch)
    document = loaded(make_pdf([HELLO]), "slow.pdf")
    with pytest.raises(DocumentLimitError, match=r"'slow\.pdf' takes more than 3 seconds"):
        next(pages(document, dpi=72, settings=in_process(max_document_seconds=3)))


def test_a_drawing_that_takes_too_long_is_stopped(
    loaded: Loaded, make_pdf: MakePdf, monkeypatch: pytest.MonkeyPatch
) -> None:
    squares = "\n".join(f"{at % 200} 10 50 50 re f" for at in range(20_000))
    (page,) = pages(loaded(make_pdf([squares])), dpi=72, settings=in_process(max_document_seconds=5))
    seconds = ticking(monkeypatch)
    with pytest.raises(DocumentLimitError, match="takes more than 5 seconds"):
        page.render()
    assert next(seconds) < 20


def test_time_between_pages_does_not_count(loaded: Loaded, make_pdf: MakePdf, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: now[0]))
    numbers = []
    for page in pages(loaded(make_pdf([HELLO] * 3)), dpi=72, settings=in_process(max_document_seconds=1)):
        numbers.append(page.number)
        now[0] += 1000
    assert numbers == [1, 2, 3]


def test_threads_read_and_draw_at_the_same_time(read: Read, make_pdf: MakePdf) -> None:
    data = make_pdf([HELLO] * 3)
    found: list[tuple[str, tuple[int, int]]] = []

    def work() -> None:
        found.extend((page.text, page.render().size) for page in read(data))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(HELLO_TEXT, (300, 200))] * 12
