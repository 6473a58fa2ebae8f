#!/usr/bin/env python3
"""Writes a sample invoice as a one-page PDF with a text layer: make_sample_invoice.py OUT.pdf

Everyone and everything on it is invented. The bytes are the same for every run of one reportlab version.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

WIDTH, HEIGHT = A4
LEFT, RIGHT = 56.0, WIDTH - 56.0
INK, SOFT, ACCENT, RULE = (HexColor(code) for code in ("#1c2430", "#5b6675", "#0f5a5e", "#c9d1d8"))
QUANTITY_RIGHT, PRICE_RIGHT, VAT_RIGHT = 350.0, 428.0, 474.0
VAT_RATE = Decimal("0.20")
DISCOUNT_RATE = Decimal("0.05")


@dataclass(frozen=True, slots=True)
class Item:
    code: str
    description: str
    quantity: int
    unit_price: Decimal

    @property
    def amount(self) -> Decimal:
        return self.quantity * self.unit_price


ITEMS = (
    Item("BK-1040", "Oak bookcase, five shelves", 4, Decimal("189.00")),
    Item("DS-2210", "Height-adjustable desk, 160 x 80 cm", 6, Decimal("412.50")),
    Item("CH-0307", "Task chair with armrests, grey", 6, Decimal("164.90")),
    Item("LT-5512", "Desk lamp, dimmable, brass", 8, Decimal("47.25")),
    Item("SV-0001", "Delivery and assembly on site", 1, Decimal("260.00")),
)


def money(value: Decimal) -> str:
    return f"{value.quantize(Decimal('0.01')):,}"


def write(canvas: Canvas, x: float, y: float, text: str, font: str = "Helvetica", size: float = 9.5) -> None:
    canvas.setFont(font, size)
    canvas.drawString(x, y, text)


def write_right(canvas: Canvas, x: float, y: float, text: str, font: str = "Helvetica", size: float = 9.5) -> None:
    canvas.setFont(font, size)
    canvas.drawRightString(x, y, text)


def block(canvas: Canvas, x: float, y: float, lines: list[str], leading: float = 13.5) -> float:
    """Lines of text one under another; gives the height of the next one."""
    for line in lines:
        write(canvas, x, y, line)
        y -= leading
    return y


def draw_header(canvas: Canvas) -> None:
    canvas.setFillColor(ACCENT)
    canvas.rect(0, HEIGHT - 14, WIDTH, 14, stroke=0, fill=1)
    write(canvas, LEFT, HEIGHT - 62, "Halden & Brook Furniture Ltd", "Helvetica-Bold", 16)
    canvas.setFillColor(SOFT)
    block(
        canvas,
        LEFT,
        HEIGHT - 80,
        ["27 Tannery Lane, Unit 4", "Norwich NR3 1QP, United Kingdom", "VAT No. GB 392 7714 06"],
    )
    canvas.setFillColor(INK)
    write_right(canvas, RIGHT, HEIGHT - 66, "INVOICE", "Helvetica-Bold", 24)


def draw_parties(canvas: Canvas) -> None:
    top = HEIGHT - 158
    canvas.setFillColor(SOFT)
    write(canvas, LEFT, top, "BILL TO", "Helvetica-Bold", 8)
    canvas.setFillColor(INK)
    write(canvas, LEFT, top - 16, "Atelier Meridienne SAS", "Helvetica-Bold", 10.5)
    block(
        canvas,
        LEFT,
        top - 31,
        [
            "Attn. Colette Vasseur, Office Manager",
            "14 rue des Tisserands",
            "59800 Lille, France",
            "VAT No. FR 48 512 908 337",
            "c.vasseur@meridienne.example",
        ],
    )
    meta = [
        ("Invoice number", "HB-2025-0417"),
        ("Invoice date", "12 May 2025"),
        ("Due date", "11 June 2025"),
        ("Your order", "PO-88231"),
        ("Currency", "EUR"),
    ]
    y = top
    for label, value in meta:
        canvas.setFillColor(SOFT)
        write(canvas, 350, y, label)
        canvas.setFillColor(INK)
        write_right(canvas, RIGHT, y, value, "Helvetica-Bold")
        y -= 17


def draw_items(canvas: Canvas) -> float:
    y = HEIGHT - 300
    canvas.setFillColor(ACCENT)
    canvas.rect(LEFT, y - 6, RIGHT - LEFT, 20, stroke=0, fill=1)
    canvas.setFillColor(HexColor("#ffffff"))
    write(canvas, LEFT + 6, y, "Code", "Helvetica-Bold", 9)
    write(canvas, LEFT + 62, y, "Description", "Helvetica-Bold", 9)
    headers = (
        (QUANTITY_RIGHT, "Qty"),
        (PRICE_RIGHT, "Unit price"),
        (VAT_RIGHT, "VAT"),
        (RIGHT - 6, "Amount"),
    )
    for x, header in headers:
        write_right(canvas, x, y, header, "Helvetica-Bold", 9)
    canvas.setStrokeColor(RULE)
    for item in ITEMS:
        y -= 23
        canvas.setFillColor(INK)
        write(canvas, LEFT + 6, y, item.code)
        write(canvas, LEFT + 62, y, item.description)
        write_right(canvas, QUANTITY_RIGHT, y, str(item.quantity))
        write_right(canvas, PRICE_RIGHT, y, money(item.unit_price))
        write_right(canvas, VAT_RIGHT, y, f"{VAT_RATE:.0%}")
        write_right(canvas, RIGHT - 6, y, money(item.amount))
        canvas.line(LEFT, y - 8, RIGHT, y - 8)
    return y


def draw_totals(canvas: Canvas, y: float) -> float:
    subtotal = sum((item.amount for item in ITEMS), Decimal(0))
    discount = (subtotal * DISCOUNT_RATE).quantize(Decimal("0.01"))
    vat = ((subtotal - discount) * VAT_RATE).quantize(Decimal("0.01"))
    lines = [
        ("Subtotal", money(subtotal)),
        (f"Discount ({DISCOUNT_RATE:.0%})", f"-{money(discount)}"),
        (f"VAT ({VAT_RATE:.0%})", money(vat)),
    ]
    y -= 34
    for label, value in lines:
        write(canvas, 350, y, label)
        write_right(canvas, RIGHT - 6, y, value)
        y -= 17
    canvas.setStrokeColor(INK)
    canvas.line(350, y + 10, RIGHT, y + 10)
    write(canvas, 350, y - 5, "Total due (EUR)", "Helvetica-Bold", 11)
    write_right(canvas, RIGHT - 6, y - 5, money(subtotal - discount + vat), "Helvetica-Bold", 11)
    return y - 5


def draw_footer(canvas: Canvas, y: float) -> None:
    canvas.setFillColor(SOFT)
    write(canvas, LEFT, y - 50, "PAYMENT", "Helvetica-Bold", 8)
    canvas.setFillColor(INK)
    block(
        canvas,
        LEFT,
        y - 66,
        [
            "Fenland Commercial Bank, Norwich",
            "IBAN GB00 FENL 2041 8830 0517 62",
            "BIC FENLGB2N",
            "Please quote HB-2025-0417. Payment within 30 days of the invoice date.",
        ],
    )
    canvas.setFillColor(SOFT)
    write(canvas, LEFT, 44, "Halden & Brook Furniture Ltd, registered in England no. 00417723", size=8)
    write_right(canvas, RIGHT, 44, "Page 1 of 1", size=8)


def make(path: Path) -> None:
    canvas = Canvas(str(path), pagesize=A4, invariant=1)
    canvas.setTitle("Invoice HB-2025-0417")
    draw_header(canvas)
    draw_parties(canvas)
    draw_footer(canvas, draw_totals(canvas, draw_items(canvas)))
    canvas.save()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the PDF to write")
    make(parser.parse_args().out)


if __name__ == "__main__":
    main()
