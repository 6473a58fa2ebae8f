"""A total is no amount that the document adds a tax or a rounding to, and its text ends where the amount does."""

from __future__ import annotations

import pytest

from local_retab.extraction.totals import Totals, is_total

TAXED = (
    "Total Sales Incl GST   75.00\nCASH 100.00\nGST Summary  Amount  Tax\n GR 6%   70.75   4.25\n Total   70.75  4.25"
)
ROUNDED = "TOTAL AMT.  RM  1,060.31\nROUNDING ADJ......  -0.01\nRM 1,060.30\nCASH 70.30"
SIGNED = "TOTAL  RM 33.92\nROUNDING ADJUSTMENT  -RM 0.02\nTOTAL ROUNDED  33.90  RM 33.90\nCASH RM 50.00"
REPEATED = (
    "Total Excl GST 80.91\nRounding -0.01\nTotal Incl GST 80.90\nCASH 100.00\n80.90  Change 19.10\nTotal 80.91 0.00"
)
SINGLE = "Widget  2  100.00  200.00\nSum 300.00\nNet 50.00\nVAT 5.00\nPaid 55.00"


def first_refused(text: str, document: str, before: str) -> int | None:
    totals, output = Totals([document]), before.encode()
    for index, char in enumerate(text):
        if totals.refuses(output, char.encode()):
            return index
        output += char.encode()
    return None


@pytest.mark.parametrize(
    ("text", "document", "refused"),
    [
        ("70.75", TAXED, 1),
        ("75.00", TAXED, None),
        ("4.25", TAXED, None),
        ("1060.31", ROUNDED, 6),
        ("1060.30", ROUNDED, None),
        ("70.30", ROUNDED, None),
        ("33.92", SIGNED, 4),
        ("33.90", SIGNED, None),
        ("80.90", REPEATED, None),
        ("80.91", REPEATED, None),
        ("200.00", SINGLE, None),
        ("50.00", SINGLE, None),
        ("9.99", TAXED, None),
        ("75.00", "", None),
    ],
)
def test_the_first_digit_that_leaves_only_parts_of_a_sum_is_refused(
    text: str, document: str, refused: int | None
) -> None:
    for before in ('{"a":1,"total":', '{"total_amount": ', '{"total":"', '{"amountDue" : "'):
        assert first_refused(text, document, before) == refused, before
    assert first_refused("RM " + text, document, '{"total":"') == (None if refused is None else refused + 3)
    assert first_refused(text, document, '{"subtotal":') is None
    assert first_refused(text, document, '{"total_net":"') is None


def test_separators_of_thousands_are_read_as_they_may_be() -> None:
    assert first_refused("1,060.31", ROUNDED, '{"total":"') == 7
    assert first_refused("1,060.30", ROUNDED, '{"total":"') is None
    assert first_refused("70,75", "Summe 75,00\n70,75  4,25", '{"total":"') == 1


@pytest.mark.parametrize(
    ("token", "refused"),
    [
        (" Hc", True),
        (" H", True),
        ("x", True),
        (" EUR", False),
        (" RM", False),
        (" euros", False),
        (" kr", False),
        ('"', False),
        ("5", False),
        (" ", False),
        (" €", False),
    ],
)
def test_behind_an_amount_stands_a_currency_or_nothing(token: str, refused: bool) -> None:
    totals = Totals(["Total 54.50 Hc"])
    assert totals.refuses(b'{"total":"RM 54.50', token.encode()) is refused
    assert not totals.refuses(b'{"total":"about 54', token.encode())
    assert not totals.refuses(b'{"note":"54.50', token.encode())


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("total", True),
        ("invoiceTotal", True),
        ("grand_total", True),
        ("total_amount", True),
        ("amount_due", True),
        ("amount", False),
        ("subtotal", False),
        ("sub_total", False),
        ("total_tax", False),
        ("total_before_tax", False),
        ("due_date", False),
        ("", False),
    ],
)
def test_totals_by_the_names_of_their_fields(name: str, total: bool) -> None:
    assert is_total(name) is total


def test_a_hostile_document_is_read_in_bounded_work() -> None:
    numbers = "111 " * 50_000
    lines = "Rounding 0.01  5.00\n" * 5_000
    totals = Totals([f"{numbers}\n{'1' * 200_000}!\n{'1.00 ' * 50_000}\n{lines}"])
    assert not totals.refuses(b'{"total":', b"5")
