from __future__ import annotations

import json
import runpy
from pathlib import Path

from jsonschema import Draft202012Validator

from local_retab.documents import load, pages
from local_retab.schema import plan_schema
from local_retab.settings import Settings

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
EXPECTED = {
    "invoice_number": "HB-2025-0417",
    "invoice_date": "2025-05-12",
    "due_date": "2025-06-11",
    "purchase_order": "PO-88231",
    "currency": "EUR",
    "seller": {
        "name": "Halden & Brook Furniture Ltd",
        "address": "27 Tannery Lane, Unit 4, Norwich NR3 1QP, United Kingdom",
        "vat_number": "GB 392 7714 06",
        "contact_name": None,
    },
    "buyer": {
        "name": "Atelier Meridienne SAS",
        "address": "14 rue des Tisserands, 59800 Lille, France",
        "vat_number": "FR 48 512 908 337",
        "contact_name": "Colette Vasseur",
    },
    "line_items": [
        {
            "code": "BK-1040",
            "description": "Oak bookcase, five shelves",
            "quantity": 4,
            "unit_price": 189.0,
            "amount": 756.0,
        }
    ],
    "subtotal": 4858.4,
    "discount": 242.92,
    "vat": 923.1,
    "total": 5538.58,
    "iban": "GB00 FENL 2041 8830 0517 62",
    "delivery_note_number": None,
}


def test_the_invoice_is_one_readable_page_and_the_same_each_time(tmp_path: Path) -> None:
    make = runpy.run_path(str(SCRIPTS / "make_sample_invoice.py"))["make"]
    make(tmp_path / "invoice.pdf")
    make(tmp_path / "again.pdf")
    assert (tmp_path / "invoice.pdf").read_bytes() == (tmp_path / "again.pdf").read_bytes()
    settings = Settings()
    (page,) = pages(load(tmp_path / "invoice.pdf", settings=settings), dpi=96, settings=settings)
    lines = [" ".join(line.split()) for line in page.text.splitlines()]
    for line in (
        "Halden & Brook Furniture Ltd INVOICE",
        "BILL TO Invoice number HB-2025-0417",
        "Code Description Qty Unit price VAT Amount",
        "BK-1040 Oak bookcase, five shelves 4 189.00 20% 756.00",
        "Subtotal 4,858.40",
        "Discount (5%) -242.92",
        "VAT (20%) 923.10",
        "Total due (EUR) 5,538.58",
        "IBAN GB00 FENL 2041 8830 0517 62",
    ):
        assert line in lines
    assert "delivery note" not in page.text.lower()


def test_the_schema_fits_the_invoice() -> None:
    schema = json.loads((SCRIPTS / "sample_invoice_schema.json").read_text())
    assert not plan_schema(schema, settings=Settings()).deferred, "the demonstration must show it while it is written"
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert validator.is_valid(EXPECTED)
    assert not validator.is_valid({**EXPECTED, "currency": "XXX"})
    assert not validator.is_valid({key: value for key, value in EXPECTED.items() if key != "total"})
