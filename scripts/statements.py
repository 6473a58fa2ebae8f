"""Bank statements of any number of rows and pages, with what they say: for measuring how long documents are read."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "account_holder": {"type": "string", "maxLength": 60},
        "iban": {"type": "string", "maxLength": 40},
        "closing_balance": {"type": ["number", "null"]},
        "transactions": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "date": {"type": "string", "format": "date"},
                    "reference": {"type": "string", "maxLength": 12},
                    "description": {"type": "string", "maxLength": 60},
                    "amount": {"type": "number"},
                    "balance": {"type": "number"},
                },
                "required": ["date", "reference", "description", "amount", "balance"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["account_holder", "iban", "closing_balance", "transactions"],
    "additionalProperties": False,
}
HOLDER, IBAN = "Ada Marsh Bookbinding Ltd", "GB29 NWBK 6016 1331 9268 19"
_PAYEES = ("Harbour Paper", "Leather & Hide", "City Council", "Northern Rail", "Quill Insurance", "Miller Glue Works")
_KINDS = ("Card payment", "Direct debit", "Transfer to", "Invoice from", "Standing order")
_TOP, _LINE = 800, 20
_COLUMNS = (40, 110, 185, 460, 555)


@dataclass(frozen=True)
class Statement:
    """A PDF, and the value of SCHEMA that it states."""

    pdf: bytes
    value: dict[str, Any]


def rows(count: int, seed: int = 7) -> list[dict[str, Any]]:
    """Transactions in order of their dates; balances add up to the cent."""
    random_of = random.Random(seed)
    day, balance = date(2026, 1, 2), 250_000_00
    found = []
    for number in range(1, count + 1):
        day += timedelta(days=random_of.random() < 0.25)
        amount = random_of.randint(-90_000, 85_000) or 1
        balance += amount
        found.append(
            {
                "date": day.isoformat(),
                "reference": f"TX{number:06d}",
                "description": f"{random_of.choice(_KINDS)} {random_of.choice(_PAYEES)}",
                "amount": amount / 100,
                "balance": balance / 100,
            }
        )
    return found


def make_statement(count: int, pages: int, seed: int = 7) -> Statement:
    """A statement of ``count`` rows over ``pages`` pages."""
    transactions = rows(count, seed)
    closing = transactions[-1]["balance"]
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1)
    each = -(-count // pages)
    for page in range(pages):
        _page(canvas, page, pages, transactions[page * each : (page + 1) * each], closing)
    canvas.save()
    value = {"account_holder": HOLDER, "iban": IBAN, "closing_balance": closing, "transactions": transactions}
    return Statement(out.getvalue(), value)


def _page(canvas: Canvas, page: int, pages: int, transactions: list[dict[str, Any]], closing: float) -> None:
    canvas.setFont("Helvetica", 9)
    y = _TOP
    for text in (f"Account holder: {HOLDER}", f"IBAN: {IBAN}", "Statement of account, amounts in GBP"):
        canvas.drawString(_COLUMNS[0], y, text)
        y -= 13
    y -= 10
    names = ("Date", "Reference", "Description", "Amount", "Balance")
    _row(canvas, y, names)
    for entry in transactions:
        y -= _LINE
        texts = (entry["date"], entry["reference"], entry["description"])
        _row(canvas, y, (*texts, f"{entry['amount']:,.2f}", f"{entry['balance']:,.2f}"))
    if page + 1 == pages:
        canvas.drawString(_COLUMNS[0], y - 2 * _LINE, f"Closing balance: {closing:,.2f}")
    canvas.drawString(_COLUMNS[0], 30, f"Page {page + 1} of {pages}")
    canvas.showPage()


def _row(canvas: Canvas, y: float, texts: tuple[str, ...]) -> None:
    for x, text in zip(_COLUMNS[:3], texts, strict=False):
        canvas.drawString(x, y, text)
    for x, text in zip(_COLUMNS[3:], texts[3:], strict=True):
        canvas.drawRightString(x, y, text)
