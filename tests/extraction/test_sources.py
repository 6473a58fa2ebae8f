from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from local_retab.documents import Document, Page, WordBox, load
from local_retab.extraction.anchoring import find_sources
from local_retab.extraction.reading import read_pages
from local_retab.extraction.sources import Located, locate
from local_retab.settings import Settings

SETTINGS = Settings()

INVOICE = """
Acme Tools Ltd                        Invoice 2024-117
12 High Street                        Date    03 Feb 2024
Bristol BS1 5TT                       Due     05/03/2024

Description          Qty      Price     Amount
Hammer                 2      10.00      20.00
Saw, small             1      20.00      20.00
Nails 100 pcs         20       1.00      20.00

Subtotal                                 60.00
Discount                                 -5.00
VAT 10%                                   5.50
Total EUR                                60.50
Paid                                     60.50
"""


def page(text: str, number: int = 1, *, shift: float = 0.0) -> Page:
    """A page whose characters are 6 wide and whose lines are 12 high."""
    words = []
    for row, line in enumerate(text.strip("\n").split("\n")):
        at = 0
        for word in line.split():
            at = line.index(word, at)
            words.append(WordBox(word, 6.0 * at, 12.0 * row + shift, 6.0 * (at + len(word)), 12.0 * row + 10 + shift))
            at += len(word)

    def draw() -> Image.Image:
        raise AssertionError("drawn")

    return Page(number, 600, 800, tuple(words), text, draw)


def found(value: Any, *pages: Page, schema: dict[str, Any] | None = None) -> dict[str, Located]:
    located = locate(value, schema, pages or [page(INVOICE)])
    return {".".join(map(str, entry.path)): entry for entry in located}


def row_of(entry: Located) -> int:
    assert entry.box is not None
    return round(entry.box[1] / 12)


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("Acme Tools Ltd", "Acme Tools Ltd"),
        ("ACME TOOLS LTD.", "Acme Tools Ltd"),
        ("2024-117", "2024-117"),
        ("2024-02-03", "03 Feb 2024"),
        ("2024-03-05", "05/03/2024"),
        ("Saw small", "Saw, small"),
        (-5.0, "-5.00"),
        (5.5, "5.50"),
        ("EUR", "EUR"),
        ("12 High Street, Bristol BS1 5TT", "12 High Street Bristol BS1 5TT"),
        ("Acme Toolz Ltd", "Acme Tools Ltd"),
    ],
)
def test_a_value_is_found_as_it_is_printed(value: Any, content: str) -> None:
    assert found({"field": value})["field"].content == content


@pytest.mark.parametrize("value", ["Widget Corp", 61.0, "2023-01-01", "x", True, None, [], {}, "...", ""])
def test_what_is_not_printed_has_no_source(value: Any) -> None:
    entry = found({"field": value})["field"]
    assert entry.box is None
    assert entry.status in {"missing", "unsupported"}


def test_the_label_tells_equal_values_apart() -> None:
    entries = found({"total": 60.5, "paid": 60.5, "quantity_of_nails": 20})
    assert (row_of(entries["total"]), row_of(entries["paid"])) == (12, 13)
    assert row_of(found({"subtotal": 60})["subtotal"]) == 9


def test_neighbours_in_the_value_tell_equal_values_apart() -> None:
    lines = [
        {"description": "Hammer", "amount": 20.0},
        {"description": "Saw, small", "amount": 20.0},
        {"description": "Nails 100 pcs", "amount": 20.0},
    ]
    entries = found({"lines": lines})
    assert [row_of(entries[f"lines.{index}.amount"]) for index in range(3)] == [5, 6, 7]


def test_items_are_found_in_their_order() -> None:
    entries = found({"amounts": [20.0, 20.0, 20.0]})
    assert [row_of(entries[f"amounts.{index}"]) for index in range(3)] == [5, 6, 7]


def test_equal_places_without_a_difference_are_ambiguous() -> None:
    entry = found({"x": "same"}, page("same   same"))["x"]
    assert entry.status == "ambiguous"
    assert entry.content == "same"


def test_part_of_a_word_and_near_misses_are_partial() -> None:
    assert found({"x": "voice"})["x"].status == "partial"
    assert found({"x": "Acme Toolz Ltd"})["x"].status == "partial"


def test_a_schema_says_what_a_date_and_a_label_are() -> None:
    schema = {"type": "object", "properties": {"z": {"type": "string", "description": "Day on which payment is due"}}}
    text = page("Date 2024-03-05\nDue  2024-03-05")
    assert row_of(found({"z": "2024-03-05"}, text, schema=schema)["z"]) == 1


def test_values_are_found_on_later_pages() -> None:
    entry = found({"x": "Acme Tools Ltd"}, page("nothing here"), page(INVOICE, 2))["x"]
    assert entry.page == 2


def as_document(text: str, filename: str = "a.txt") -> Document:
    return load(text.encode(), filename=filename, settings=SETTINGS)


def test_the_wire_tree_mirrors_the_output_and_anchors_are_on_the_page() -> None:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(300, 200), invariant=1)
    canvas.drawString(20, 150, "Total due 12.50 EUR")
    canvas.save()
    document = load(out.getvalue(), filename="a.pdf", settings=SETTINGS)
    pages = read_pages(document, dpi=96, settings=SETTINGS)
    result = find_sources(document, pages, {"total": 12.5, "tags": ["EUR", "none"], "empty": []}, None)
    assert result.document_type == "pdf"
    tree: Any = result.sources
    assert list(tree) == ["total", "tags", "empty"]
    assert tree["tags"][1] == {"value": "none", "source": None}
    assert tree["empty"] == {"value": [], "source": None}
    source = tree["total"]["source"]
    assert (source["content"], source["file_id"]) == ("12.50", document.id)
    anchor = source["anchor"]
    assert (anchor["kind"], anchor["page"]) == ("pdf_bbox", 1)
    assert 0 < anchor["left"] < anchor["left"] + anchor["width"] < 1
    assert 0.15 < anchor["top"] < anchor["top"] + anchor["height"] < 0.3
    assert result.evidence["total"]["status"] == "matched"
    assert result.evidence["tags.1"] == {"kind": "unavailable", "status": "missing", "sources": None}


def test_boxes_at_the_edge_stay_within_the_page() -> None:
    document = load(Image.new("RGB", (10, 10)), settings=SETTINGS)
    edge = Page(1, 100.0, 100.0, (WordBox("far", 99.99999, -1.0, 130.0, 0.0),), "far", lambda: Image.new("RGB", (1, 1)))
    tree: Any = find_sources(document, [edge], {"x": "far"}, None).sources
    anchor = tree["x"]["source"]["anchor"]
    assert anchor["kind"] == "image_bbox"
    for start, size in (("left", "width"), ("top", "height")):
        assert anchor[start] >= 0
        assert anchor[size] > 0
        assert anchor[start] + anchor[size] <= 1


def test_plain_text_has_line_and_character_anchors() -> None:
    document = as_document("Dear all,\n\nthe meeting is on 3 May\n2024 in Oslo.\n")
    pages = read_pages(document, dpi=96, settings=SETTINGS)
    tree: Any = find_sources(document, pages, {"city": "Oslo", "greeting": "Dear all"}, None).sources
    assert tree["city"]["source"]["anchor"] == {
        "kind": "text_span",
        "line_start": 4,
        "line_end": 4,
        "char_start": 8,
        "char_end": 13,
    }
    assert tree["greeting"]["source"]["anchor"]["line_start"] == 1


def test_cells_of_a_table_have_cell_anchors() -> None:
    document = as_document("item,amount\nHammer,20.00\n", "a.csv")
    pages = read_pages(document, dpi=96, settings=SETTINGS)
    result = find_sources(document, pages, {"amount": 20.0}, None)
    tree: Any = result.sources
    assert result.document_type == "csv"
    assert tree["amount"]["source"]["anchor"] == {"kind": "csv_cell", "row": 2, "column": "B", "coordinate": "B2"}
