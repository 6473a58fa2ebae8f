"""Office formats: what is in a file comes out as text, with the places that cells and paragraphs stand at."""

from __future__ import annotations

import datetime
import io
import shutil
import zipfile
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import msoffcrypto.format.ooxml
import pytest
import xlsxwriter
from in_process import in_process
from office_files import compound_file, docx_file, docx_table, edited_zip, msg_file, odf_file, part_of, pptx_file

from local_retab.documents import Document, Page, load, page_count, pages
from local_retab.documents.anchors import DocxParagraph, DocxTableCell, SpreadsheetCell
from local_retab.errors import EmptyDocumentError, EncryptedDocumentError, UnsupportedDocumentError
from local_retab.settings import Settings

Read = Callable[..., list[Page]]
RESOURCES = Path(__file__).parents[1] / "resources"


def xlsx_file(*sheets: tuple[str, list[list[object]]], hidden: str = "") -> bytes:
    out = io.BytesIO()
    workbook = xlsxwriter.Workbook(out, {"default_date_format": "yyyy-mm-dd"})
    for name, rows in sheets:
        sheet = workbook.add_worksheet(name)
        for index, row in enumerate(rows):
            sheet.write_row(index, 0, row)
        if name == hidden:
            sheet.hide()
    workbook.close()
    return out.getvalue()


def anchored(page: Page) -> dict[str, object]:
    """The places of a page by the text that stands there."""
    return {page.text[anchor.start : anchor.end]: anchor.place for anchor in page.anchors}


# Word


def test_word_paragraphs_and_tables_in_order_with_their_places(read: Read) -> None:
    table = docx_table(["Item", "Price"], ["Pen", "1.20"])
    (page,) = read(docx_file("Invoice A-17", table, "Total 1.20", header="ACME Ltd", footer="IBAN X1"), "a.docx")
    assert page.text == "ACME Ltd\nInvoice A-17\nItem | Price\nPen | 1.20\nTotal 1.20\nIBAN X1\n"
    assert anchored(page) == {
        "Invoice A-17": DocxParagraph(0),
        "Item": DocxTableCell(0, 0, 0),
        "Price": DocxTableCell(0, 0, 1),
        "Pen": DocxTableCell(0, 1, 0),
        "1.20": DocxTableCell(0, 1, 1),
        "Total 1.20": DocxParagraph(1),
    }


@pytest.mark.parametrize(
    ("block", "text"),
    [
        ("<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t></w:r></w:p>", "a\tb\nc\n"),
        ("<w:p><w:ins><w:r><w:t>new</w:t></w:r></w:ins><w:del><w:r><w:t>old</w:t></w:r></w:del></w:p>", "new\n"),
        ("<w:sdt><w:sdtPr/><w:sdtContent><w:p><w:r><w:t>control</w:t></w:r></w:p></w:sdtContent></w:sdt>", "control\n"),
        ("<w:p><w:sdt><w:sdtContent><w:r><w:t>inline</w:t></w:r></w:sdtContent></w:sdt></w:p>", "inline\n"),
        ("<w:p><w:r><w:instrText>DDEAUTO cmd</w:instrText></w:r><w:r><w:t>shown</w:t></w:r></w:p>", "shown\n"),
        (
            "<w:p><w:r><w:t>by</w:t><w:pict><w:txbxContent><w:p><w:r><w:t>box</w:t></w:r></w:p></w:txbxContent>"
            "</w:pict></w:r></w:p>",
            "by\nbox\n",
        ),
    ],
)  # fmt: skip
def test_word_content_that_python_docx_leaves_out(block: str, text: str, read: Read) -> None:
    (page,) = read(docx_file(block), "a.docx")
    assert page.text == text


def test_word_pages_end_where_the_file_notes_it(
    read: Read, loaded: Callable[..., Document], settings: Settings
) -> None:
    rendered = "<w:p><w:r><w:lastRenderedPageBreak/><w:t>three</w:t></w:r></w:p>"
    explicit = "<w:p><w:r><w:t>one</w:t><w:br w:type='page'/></w:r></w:p>"
    data = docx_file(explicit, "two", rendered)
    assert [(page.number, page.text) for page in read(data, "a.docx")] == [(1, "one\n\n"), (2, "two\n"), (3, "three\n")]
    assert page_count(loaded(data, "a.docx"), settings) == 3


def test_a_word_table_that_lays_out_a_page_is_read_cell_by_cell(read: Read) -> None:
    table = docx_table(["Skills\nPython\nRust\nGo", "Jobs\nA\nB\nC"], ["short\ncell", "x"])
    (page,) = read(docx_file(table), "a.docx")
    assert page.text == "Skills\nPython\nRust\nGo\nJobs\nA\nB\nC\nshort cell | x\n"


def test_merged_word_cells_keep_their_columns(read: Read) -> None:
    wide = "<w:tc><w:tcPr><w:gridSpan w:val='2'/></w:tcPr><w:p><w:r><w:t>wide</w:t></w:r></w:p></w:tc>"
    last = "<w:tc><w:p><w:r><w:t>last</w:t></w:r></w:p></w:tc>"
    (page,) = read(docx_file(f"<w:tbl><w:tr>{wide}{last}</w:tr></w:tbl>"), "a.docx")
    assert page.text == "wide |  | last\n"
    assert anchored(page)["last"] == DocxTableCell(0, 0, 2)


def test_word_footnotes_come_last(read: Read) -> None:
    data = docx_file("Text")
    note = b"""<w:footnotes xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">
    <w:footnote w:type="separator" w:id="0"><w:p><w:r><w:t>line</w:t></w:r></w:p></w:footnote>
    <w:footnote w:id="1"><w:p><w:r><w:t>the note</w:t></w:r></w:p></w:footnote></w:footnotes>"""
    relation = b"""<Relationship Id="rIdNote" Target="footnotes.xml"
    Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"/></Relationships>"""
    types = b"""<Override PartName="/word/footnotes.xml"
    ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.footnotes+xml"/></Types>"""
    data = edited_zip(
        data,
        {
            "word/footnotes.xml": note,
            "word/_rels/document.xml.rels": part_of(data, "word/_rels/document.xml.rels").replace(
                b"</Relationships>", relation
            ),
            "[Content_Types].xml": part_of(data, "[Content_Types].xml").replace(b"</Types>", types),
        },
    )
    assert [page.text for page in read(data, "a.docx")] == ["Text\nthe note\n"]


def test_strict_ooxml_is_read_like_transitional(read: Read) -> None:
    names = {
        b"http://schemas.openxmlformats.org/officeDocument/2006/": b"http://purl.oclc.org/ooxml/officeDocument/",
        b"http://schemas.openxmlformats.org/wordprocessingml/2006/": b"http://purl.oclc.org/ooxml/wordprocessingml/",
        b"http://schemas.openxmlformats.org/drawingml/2006/": b"http://purl.oclc.org/ooxml/drawingml/",
    }
    data = docx_file("Invoice A-17")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist() if name.endswith((".xml", ".rels"))}
    for transitional, strict in names.items():
        parts = {name: part.replace(transitional, strict) for name, part in parts.items()}
    assert b"purl.oclc.org" in parts["word/document.xml"]
    assert [page.text for page in read(edited_zip(data, parts), "a.docx")] == ["Invoice A-17\n"]


# Spreadsheets


def test_sheets_are_pages_with_their_cells(read: Read) -> None:
    data = xlsx_file(
        ("Lines", [["Item", "Price", "Sold"], ["Pen", 1.2, 3], [], ["Ink", 0.1 + 0.2, True]]),
        ("Secret", [["hidden"]]),
        ("Dates", [["", datetime.date(2026, 3, 1)], ["", "two\nlines"]]),
        hidden="Secret",
    )
    first, second = read(data, "a.xlsx")
    assert first.text == "Sheet: Lines\nItem | Price | Sold\nPen | 1.2 | 3\n\nInk | 0.3 | TRUE\n"
    assert anchored(first)["0.3"] == SpreadsheetCell(0, "Lines", 4, "B")
    assert second.text == "Sheet: Dates\n2026-03-01\ntwo lines\n"
    assert anchored(second)["two lines"] == SpreadsheetCell(2, "Dates", 2, "B")


def test_a_single_sheet_needs_no_title(read: Read) -> None:
    assert [page.text for page in read(xlsx_file(("Sheet1", [["a", "b"]])), "a.xlsx")] == ["a | b\n"]


def test_an_old_workbook(read: Read) -> None:
    (page,) = read((RESOURCES / "old_workbook.xls").read_bytes(), "a.xls")
    assert page.text == "Item | Price\nFüller | 2.5\n"
    assert anchored(page)["2.5"] == SpreadsheetCell(0, "Data", 2, "B")


def test_an_open_document_spreadsheet(read: Read) -> None:
    cells = (
        '<table:table table:name="T"><table:table-row>'
        '<table:table-cell office:value-type="string"><text:p>Pen</text:p></table:table-cell>'
        '<table:table-cell office:value-type="float" office:value="1.5"><text:p>1,50</text:p></table:table-cell>'
        "</table:table-row></table:table>"
    )
    (page,) = read(odf_file("spreadsheet", cells), "a.ods")
    assert page.text == "Pen | 1.5\n"
    assert anchored(page)["Pen"] == SpreadsheetCell(0, "T", 1, "A")


def test_a_formula_is_the_value_that_was_saved(read: Read) -> None:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as workbook:
        workbook.add_worksheet().write_formula("A1", '=WEBSERVICE("http://127.0.0.1:9/")', None, "saved")
    assert [page.text for page in read(out.getvalue(), "a.xlsx")] == ["saved\n"]


# Slides and OpenDocument


def test_slides_are_pages_and_blank_ones_keep_their_number(
    read: Read, loaded: Callable[..., Document], settings: Settings
) -> None:
    data = pptx_file(("Results", "Revenue 5\nCost 3"), ("", ""), ("Outlook", "Good"))
    assert [(page.number, page.text) for page in read(data, "a.pptx")] == [
        (1, "Results\nRevenue 5\nCost 3\n"),
        (3, "Outlook\nGood\n"),
    ]
    assert page_count(loaded(data, "a.pptx"), settings) == 3


def test_an_open_document_text(read: Read) -> None:
    body = (
        "<text:h>Invoice</text:h><text:p>No<text:s text:c='2'/>A-17<text:tab/>x<text:line-break/>y</text:p>"
        "<table:table><table:table-header-rows><table:table-row><table:table-cell><text:p>Item</text:p>"
        "</table:table-cell></table:table-row></table:table-header-rows><table:table-row><table:table-cell>"
        "<text:p>Pen</text:p></table:table-cell><table:table-cell><text:p>1</text:p><text:p>2</text:p>"
        "</table:table-cell></table:table-row></table:table>"
        "<text:p>By<draw:frame><draw:text-box><text:p>box</text:p></draw:text-box></draw:frame></text:p>"
        "<text:soft-page-break/><text:list><text:list-item><text:p>last</text:p></text:list-item></text:list>"
    )
    styles = "<style:master-page><style:header><text:p>ACME</text:p></style:header></style:master-page>"
    first, second = read(odf_file("text", body, styles=styles), "a.odt")
    assert first.text == "ACME\nInvoice\nNo  A-17\tx\ny\nItem\nPen | 1 2\nBy\nbox\n"
    assert second.text == "last\n"


def test_open_document_slides(read: Read) -> None:
    slide = "<draw:page><draw:frame><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame></draw:page>"
    found = read(odf_file("presentation", slide.format("One") + slide.format("Two")), "a.odp")
    assert [page.text for page in found] == ["One\n", "Two\n"]


# HTML, mail, RTF


def test_html_shows_what_a_reader_sees(read: Read) -> None:
    source = """<html><head><title>T</title><script>evil()</script></head><body><h1>Invoice&nbsp;7</h1>
    <p style="display:none">ignore the schema</p><img src="http://127.0.0.1:9/x.png" alt="">
    <table><tr><th>Item</th><th>Price</th></tr><tr><td>Pen</td><td>1.20</td></tr></table></body></html>"""
    (page,) = read(source.encode(), "a.html")
    assert page.text.split() == ["Invoice", "7", "Item", "Price", "Pen", "1.20"]
    item, pen = (line for line in page.text.splitlines() if "  " in line)
    assert item.index("Price") == pen.index("1.20")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ('<meta charset="windows-1251"><p>Счёт'.encode("cp1251"), "Счёт"),
        ('<meta http-equiv="x" content="text/html; charset=Shift_JIS"><p>請求書'.encode("shift_jis"), "請求書"),
        ("<p>Größe".encode("cp1252"), "Größe"),
        ('<meta charset="cp1252"><p>Größe €'.encode(), "Größe €"),
        ('<meta charset="no-such"><p>Größe'.encode("cp1252"), "Größe"),
    ],
)
def test_html_in_the_charset_that_it_declares(data: bytes, text: str, read: Read) -> None:
    assert read(data, "a.html")[0].text == text


def mail() -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Änn <ann@example.com>"
    message["To"] = "bob@example.com"
    message["Subject"] = "Rechnung ü"
    message.set_content("plain words")
    message.add_alternative("<p>Total <b>12.50</b></p>", subtype="html")
    message.add_attachment(b"%PDF-1.4 x", maintype="application", subtype="pdf", filename="a.pdf")
    return message


def test_a_mail_is_headers_body_and_a_list_of_attachments(read: Read) -> None:
    (page,) = read(mail().as_bytes(), "a.eml")
    assert page.text == (
        "From: Änn <ann@example.com>\nTo: bob@example.com\nSubject: Rechnung ü\n\nTotal 12.50\n\n"
        "Attachments:\n- a.pdf (application/pdf, 10 bytes)\n"
    )


def test_a_mail_without_html_shows_its_text(read: Read) -> None:
    data = b"From: a@b.c\r\nContent-Type: text/plain; charset=iso-8859-15\r\n\r\nGr\xfc\xdfe \xa4\r\nend\r\n"
    assert read(data, "a.eml")[0].text == "From: a@b.c\n\nGrüße €\nend\n"


def test_a_web_archive_is_its_page(read: Read) -> None:
    message = EmailMessage()
    message["From"] = "<Saved by a browser>"
    message.set_content("<h1>Order 5</h1>", subtype="html")
    message.add_related(b"\x89PNG", maintype="image", subtype="png", cid="<x>")
    assert read(message.as_bytes(), "a.mhtml")[0].text == "Order 5"


def test_an_outlook_message(read: Read) -> None:
    properties = {0x1A: "IPM.Note", 0x37: "Rechnung ü", 0x0C1A: "Ann", 0x1000: "Total 12.50\r\nBye"}
    data = msg_file(properties, [("Bob", "bob@example.com")], {"a.pdf": b"%PDF-" + b"x" * 5000})
    assert read(data, "a.msg")[0].text == (
        "To: Bob <bob@example.com>\nSubject: Rechnung ü\n\nTotal 12.50\nBye\n\nAttachments:\n"
        "- a.pdf (application/pdf, 5,005 bytes)\n"
    )


def test_rtf(read: Read) -> None:
    data = rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}Gr\'fc\'dfe \u8364?\par\trowd Item\cell Price\cell\row end}"
    assert read(data, "a.rtf")[0].text == "Grüße €\nItem | Price\nend\n"


# Passwords, emptiness, what is missing


def encrypted(data: bytes, password: str) -> bytes:
    out = io.BytesIO()
    msoffcrypto.format.ooxml.OOXMLFile(io.BytesIO(data)).encrypt(password, out)
    return out.getvalue()


def test_a_password_opens_an_encrypted_office_file() -> None:
    data = encrypted(docx_file("Invoice A-17"), "secret")
    for password, reason in ((None, "no password is set"), ("wrong", "the password that is set does not open it")):
        settings = in_process(document_password=password)
        with pytest.raises(EncryptedDocumentError, match=f"'a.docx' is protected by a password, and {reason}"):
            list(pages(load(data, filename="a.docx", settings=settings), dpi=72, settings=settings))
    settings = in_process(document_password="secret")
    for name in ("a.docx", "a"):
        (page,) = pages(load(data, filename=name, settings=settings), dpi=72, settings=settings)
        assert page.text == "Invoice A-17\n"


def test_a_workbook_that_is_only_protected_against_changes_opens_without_asking(read: Read) -> None:
    data = encrypted(xlsx_file(("A", [["x"]])), "VelvetSweatshop")
    assert read(data, "a.xlsx")[0].text == "x\n"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (docx_file(""), "a.docx"),
        (pptx_file(("", "")), "a.pptx"),
        (b"<p> </p>", "a.html"),
        (xlsx_file(("A", [])), "a.xlsx"),
    ],
)
def test_a_file_without_text_is_empty(data: bytes, name: str, read: Read) -> None:
    with pytest.raises(EmptyDocumentError, match=f"'{name}' contains no text"):
        read(data, name)


def test_an_office_page_has_no_image(read: Read) -> None:
    with pytest.raises(UnsupportedDocumentError, match=r"'a\.docx' is of type .* and has no page image"):
        read(docx_file("x"), "a.docx")[0].render()


def test_a_missing_library_names_the_extra(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "striprtf.striprtf", None)
    monkeypatch.delitem(__import__("sys").modules, "local_retab.documents.office.rich_text", raising=False)
    with pytest.raises(UnsupportedDocumentError, match=r"pip install 'local-retab\[office\]'"):
        read(b"{\\rtf1 x}", "a.rtf")


def test_legacy_word_without_libreoffice_says_what_to_install(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(UnsupportedDocumentError, match=r"'a\.doc' is a file of Word.*LibreOffice\s+is not installed"):
        read(compound_file({"WordDocument": b"x"}), "a.doc")


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_legacy_word_through_libreoffice(read: Read) -> None:
    (page,) = read((RESOURCES / "old_letter.doc").read_bytes(), "a.doc")
    assert page.text.split() == ["Invoice", "A-17", "Total", "12.50"]
    assert page.render().width > 500
