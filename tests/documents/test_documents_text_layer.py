from __future__ import annotations

import pytest
from PIL import Image

from local_retab.documents import Page, WordBox
from local_retab.documents.text_layer import TextLayer, is_garbage, judge

ENGLISH = (
    "This agreement is made on the third day of March between the buyer and the seller who have agreed that all "
    "goods shall be delivered within thirty days of the order and paid for in full on receipt of the invoice"
)
TABLE = "Nr Qty Std Pkt Kg Ltr Pcs Art No Date Amount Price Total Net Gross Tax Bank Code Ref Name"


def words(text: str) -> tuple[WordBox, ...]:
    return tuple(
        WordBox(word, 20.0 + 60 * (index % 8), 20.0 + 12 * (index // 8), 70 + 60 * (index % 8), 30 + 12 * (index // 8))
        for index, word in enumerate(text.split())
    )


def page(text: str, *pictures: tuple[float, float, float, float]) -> Page:
    return Page(1, 600, 800, words(text), text, lambda: Image.new("RGB", (1, 1)), pictures=pictures)


def shifted(text: str, by: int) -> str:
    return "".join(chr((ord(char) - 97 + by) % 26 + 97) if char.isalpha() else char for char in text.casefold())


@pytest.mark.parametrize(
    "text", [ENGLISH, TABLE, "价格 总计 日期 " * 20, "Цена итого дата " * 20, "1200 3.50 17/03 " * 30]
)
def test_text_of_any_script_or_table_is_believed(text: str) -> None:
    assert not is_garbage(words(text))


@pytest.mark.parametrize(
    "text",
    [
        shifted(ENGLISH, 3),
        shifted(ENGLISH, 19),
        "\ue001\ue002\ue003 \ue004\ue005",
        "\ufffd\ufffd\ufffd abc",
        "\x01\x02 \x03",
    ],
)
def test_codes_without_a_meaning_are_not(text: str) -> None:
    assert is_garbage(words(text))


def test_a_few_words_are_not_judged_by_their_letters() -> None:
    assert not is_garbage(words("DHL GMBH BVG KFZ NR"))


def test_a_page_with_text_is_usable_and_one_without_is_not() -> None:
    assert judge(page(ENGLISH)) is TextLayer.USABLE
    assert judge(page("")) is TextLayer.UNUSABLE


def test_a_stamp_on_a_scan_is_not_its_text() -> None:
    assert judge(page("Received 3 May", (0, 0, 600, 800))) is TextLayer.UNUSABLE
    strips = [(0.0, 100.0 * row, 600.0, 100.0 * (row + 1)) for row in range(8)]
    assert judge(page("Received 3 May", *strips)) is TextLayer.UNUSABLE


def test_a_scan_with_its_own_text_layer_is_usable() -> None:
    assert judge(page(ENGLISH, (0, 0, 600, 800))) is TextLayer.USABLE


def test_a_picture_beside_text_makes_it_partial_and_a_logo_does_not() -> None:
    assert judge(page(ENGLISH, (0, 400, 600, 800))) is TextLayer.PARTIAL
    assert judge(page(ENGLISH, (0, 700, 200, 800))) is TextLayer.USABLE
