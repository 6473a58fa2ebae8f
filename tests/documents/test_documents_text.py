from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_retab.documents import Page, load, page_count, pages
from local_retab.errors import (
    CorruptDocumentError,
    DocumentError,
    DocumentLimitError,
    EmptyDocumentError,
    UnsupportedDocumentError,
)
from local_retab.settings import Settings

Read = Callable[..., list[Page]]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Größe: 10 €".encode(), "Größe: 10 €"),
        ("Größe: 10 €".encode("utf-8-sig"), "Größe: 10 €"),
        ("Größe: 10 €".encode("utf-16"), "Größe: 10 €"),
        (b"\xfe\xff" + "Größe".encode("utf-16-be"), "Größe"),
        ("Größe: 10 €".encode("utf-32"), "Größe: 10 €"),
        ("Größe: 10 €".encode("cp1252"), "Größe: 10 €"),
        ("Größe ".encode("cp1252") * 20 + b"\x81", "Größe " * 20 + "\x81"),
        (b"one\r\ntwo\rthree\n", "one\ntwo\nthree\n"),
    ],
)
def test_text_is_decoded_by_rule(data: bytes, text: str, read: Read) -> None:
    (page,) = read(data, "note.txt")
    assert (page.number, page.width, page.height, page.words, page.text) == (1, 0, 0, (), text)


def test_text_has_no_page_image(read: Read) -> None:
    with pytest.raises(UnsupportedDocumentError, match=r"'note\.txt' is plain text and has no page image"):
        read(b"text", "note.txt")[0].render()


def test_text_is_one_page(settings: Settings) -> None:
    assert page_count(load(b"text\n" * 500, filename="note.txt", settings=settings), settings) == 1


@pytest.mark.parametrize("data", [b"PAR\x00\x01\x02", bytes(range(1, 256))])
def test_binary_data_named_as_text_is_refused(data: bytes, read: Read) -> None:
    with pytest.raises(UnsupportedDocumentError, match=r"'table\.csv' is named as text, but its bytes are binary"):
        read(data, "table.csv")


def test_broken_utf_16_says_where(read: Read) -> None:
    with pytest.raises(CorruptDocumentError, match=r"'note\.txt' begins as UTF-16-LE .* byte 4"):
        read(b"\xff\xfea\x00b", "note.txt")


def test_nothing_but_blanks_is_empty(read: Read) -> None:
    with pytest.raises(EmptyDocumentError, match=r"'note\.txt' contains no text"):
        read(b" \r\n\t\n", "note.txt")


def test_too_much_text() -> None:
    settings = Settings(max_text_chars=10)
    assert next(pages(load(b"0123456789", filename="a.txt", settings=settings), dpi=72, settings=settings)).text
    with pytest.raises(DocumentLimitError, match=r"'a\.txt' has 11 characters, over the limit of 10"):
        next(pages(load(b"0123456789x", filename="a.txt", settings=settings), dpi=72, settings=settings))


@given(st.binary(min_size=1, max_size=60))
def test_any_bytes_are_text_or_a_document_error(data: bytes) -> None:
    settings = Settings()
    message = "note.txt"
    text = "text"
    try:
        (page,) = pages(load(data, filename="note.txt", settings=settings), dpi=72, settings=settings)
        text = page.text
    except DocumentError as error:
        message = error.message
    assert "note.txt" in message
    assert text.strip()
    assert "\r" not in text


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip))
def test_utf_8_comes_through_unchanged(text: str) -> None:
    settings = Settings()
    (page,) = pages(load(text.encode(), filename="note.txt", settings=settings), dpi=72, settings=settings)
    assert page.text == text.removeprefix("\ufeff")
