"""A name of a company has no registration number behind it."""

from __future__ import annotations

import pytest

from local_retab.extraction.company_names import CompanyNames, is_company

NAMES = CompanyNames(
    [
        "AEON CO. (M) BHD (126926-H)\nHome  Depot\n(Co. Reg: 867388-U)\nStudio 54321\nOak (2024) Ltd 965857-A\n"
        "Bakery (est. 1998)",
        "Elm Ltd\n(JM0517726)",
    ]
)


@pytest.mark.parametrize(
    ("text", "token", "refused"),
    [
        ("AEON CO. (M) BHD", " (", True),
        ("AEON CO. (M) BHD", "(1", True),
        ("AEON CO. (M) BHD", " (126926", True),
        ("aeon  co. (m) bhd", " (", True),
        ("AEON CO.", " (", False),
        ("AEON CO. (M) BHD", " Ltd", False),
        ("AEON CO. (M) BHD", '"', False),
        ("Home Depot", " (", True),
        ("Studio", " 5", False),
        ("Oak", " (", False),
        ("Oak (2024) Ltd", " 9", True),
        ("Bakery", " (", False),
        ("Elm Ltd", " (", True),
        ("", "(", False),
        ("Nowhere", " (", False),
    ],
)
def test_what_begins_a_registration_number_is_refused(text: str, token: str, refused: bool) -> None:
    for key in ("company", "vendor_name"):
        assert NAMES.refuses(f'{{"{key}":"{text}'.encode(), token.encode()) is refused
    assert not NAMES.refuses(f'{{"note":"{text}'.encode(), token.encode())


@pytest.mark.parametrize(
    ("head", "begun", "refused"),
    [
        ("  RSK\n\nSYL ROASTED SDN. BHD.\nROAST 7.00", "R", True),
        ("  RSK\n\nSYL ROASTED SDN. BHD.\nROAST 7.00", "SY", False),
        ("  RSK\n\nSYL ROASTED SDN. BHD.\nROAST 7.00", "Nowhere", False),
        ("Acme GmbH & Co. KG\nBest Tools", "Best", True),
        ("Best Tools\nAcme S.A. (123456-X)", "best", True),
        ("Best Tools\n12 Elm Road\nAcme Ltd", "Best", False),
        ("Best Tools Inc.\nAcme Ltd", "Best", False),
        ("Best Tools    Acme Ltd\nOak Ltd", "Best", False),
        ("Best Tools\nOak Ltd\nBetter    Best Works Ltd", "Be", False),
        ("Best Tools\nLtd", "Best", False),
        ("\n".join("abcdefgh") + "\nBest\nAcme Ltd", "Best", False),
        ("", "Best", False),
    ],
)
def test_a_brand_is_refused_beside_the_name_of_a_company(head: str, begun: str, refused: bool) -> None:
    names = CompanyNames([head, "Best Tools\nAcme Ltd"])
    assert names.refuses(b'{"company":"', begun.encode()) is refused
    assert names.refuses(b'{"vendor_name":', f'"{begun}'.encode()) is refused
    assert not names.refuses(b'{"store_name":"', begun.encode())
    assert not names.refuses(b'{"note":"', begun.encode())
    assert not names.refuses(b'{"company":"The ', begun.encode())


@pytest.mark.parametrize(
    ("name", "company"),
    [
        ("company", True),
        ("company_name", True),
        ("vendorName", True),
        ("supplier", True),
        ("company_number", False),
        ("name", False),
        ("contact_name", False),
        ("", False),
    ],
)
def test_companies_by_the_names_of_their_fields(name: str, company: bool) -> None:
    assert is_company(name) is company
