"""What generated pages say: fields with their labels and their names in schemas, and values of every kind."""

from __future__ import annotations

import random
from dataclasses import dataclass
from string import ascii_lowercase


@dataclass(frozen=True, slots=True)
class Field:
    """One kind of information: the names that schemas give it, the labels that pages print, and its kind of value."""

    name: str
    keys: tuple[str, ...]
    labels: tuple[str, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class Value:
    """A value as the page prints it and as the answer gives it (JSON text)."""

    printed: str
    answer: str


def _field(name: str, keys: str, labels: str, kind: str) -> Field:
    return Field(name, tuple(keys.split()), tuple(filter(None, labels.split("|"))), kind)


FIELDS = {
    field.name: field
    for field in (
        _field(
            "vendor", "vendor vendor_name merchant seller supplier store company", "From|Seller|Supplier", "company"
        ),
        _field("customer", "customer customer_name client bill_to buyer", "Bill To|Customer|Client|Sold to", "person"),
        _field(
            "invoice_number",
            "invoice_number invoice_no invoice_id document_number",
            "Invoice No.|Invoice #|Invoice Number|Invoice no|Inv. No.",
            "code",
        ),
        _field(
            "receipt_number", "receipt_number receipt_no receipt_id", "Receipt No.|Receipt #|Receipt|Receipt no", "code"
        ),
        _field("order_number", "order_number order_no order_id", "Order No.|Order #|Order|Order Number", "code"),
        _field("po_number", "po_number purchase_order po", "PO No.|PO Number|P.O.|PO #", "code"),
        _field("date", "date invoice_date issue_date issued_on", "Date|Invoice Date|Issued|Issue Date", "date"),
        _field("due_date", "due_date due payment_due", "Due Date|Due|Payment due|Pay by", "date"),
        _field("birth_date", "birth_date date_of_birth dob", "Date of birth|Birth date|DOB|Born", "date"),
        _field("subtotal", "subtotal sub_total net_amount net", "Subtotal|Sub-total|Net|Net amount", "money"),
        _field("tax", "tax vat tax_amount sales_tax", "Tax|VAT|Sales Tax|GST", "money"),
        _field("total", "total total_amount amount_due grand_total", "Total|TOTAL|Amount Due|Grand Total", "money"),
        _field("payment", "payment payment_method paid_by", "Payment|Paid by|Payment method|Method", "payment"),
        _field("cashier", "cashier clerk served_by", "Cashier|Served by|Clerk", "person"),
        _field("phone", "phone telephone tel", "Tel|Phone|Tel.|Telephone", "phone"),
        _field("table", "table table_number", "Table|Table No.", "small"),
        _field("name", "name full_name applicant", "Name|Full name|Applicant", "person"),
        _field("city", "city town place", "City|Town|Place", "place"),
        _field("country", "country nation", "Country", "country"),
        _field("policy", "policy_number policy policy_no", "Policy No.|Policy|Policy Number", "code"),
        _field("member", "member_id member member_number", "Member ID|Member No.|Member", "code"),
        _field("department", "department dept division", "Department|Dept.|Division", "place"),
        _field("reference", "reference ref reference_number", "Reference|Ref.|Ref|Our ref", "code"),
        _field("amount", "amount sum value", "Amount|Sum|Value", "money"),
    )
}
ITEM_KEYS = {
    "items": ("items", "line_items", "products", "lines"),
    "description": ("description", "name", "item", "product"),
    "quantity": ("quantity", "qty", "count"),
    "unit_price": ("unit_price", "price", "rate"),
    "amount": ("amount", "total", "line_total"),
}
HEADERS = {
    "description": ("Item", "Description", "Product", "Article"),
    "quantity": ("Qty", "Qty.", "Quantity"),
    "unit_price": ("Price", "Unit", "Rate"),
    "amount": ("Amount", "Total", "Sum"),
}
FIRST = (
    "Anna Ben Carla David Elena Felix Grace Henry Irene Jack Karen Leo Maria Nina Oscar Paula Quentin Rosa Simon Tara "
    "Victor Wendy Yusuf Zoe James Laura Peter Julia Mark Sofia"
).split()
LAST = (
    "Smith Jones Miller Garcia Weber Rossi Martin Novak Larsen Kowalski Dubois Ivanov Tanaka Silva Moreau Fischer "
    "Hughes Walker Young King Scott Green Baker Adams Nelson Hill Campbell Mitchell Roberts"
).split()
GOODS = (
    "Coffee Tea Bread Butter Milk Apples Oranges Cheese Paper Pens Stapler Folder Lamp Chair Desk Cable Mouse Keyboard "
    "Screen Battery Soap Shirt Socks Jacket Hammer Nails Paint Brush Ladder Sandwich Salad Soup Juice Water Pasta "
    "Rice Pizza Burger Cake Consulting Design Support Hosting License Repair Service Delivery"
).split()
ADJECTIVES = "Large Small Blue Red Green Black White Fresh Organic Wood Steel Daily Monthly Extra Classic".split()
TRADE = (
    "Store Market Shop Supplies Foods Cafe Trading Services Bakery Hardware Books Pharmacy Garage Bistro Office".split()
)
SUFFIX = ("Ltd", "Inc.", "GmbH", "LLC", "Co.", "& Sons", "Group", "SA")
CITIES = "London Paris Berlin Madrid Rome Vienna Oslo Dublin Lisbon Prague Boston Denver Austin Toronto Sydney".split()
COUNTRIES = "France Germany Spain Italy Austria Norway Ireland Portugal Canada Australia Japan Brazil Poland".split()
PAYMENTS = ("Cash", "Visa", "Mastercard", "Card", "Bank transfer", "PayPal", "Debit card", "Cheque")
STREETS = "High St|Main Street|Park Ave|Mill Road|Church Lane|Station Road|King Street|Oak Avenue".split("|")
MONTHS = "January February March April May June July August September October November December".split()
SYLLABLES = (
    "an ba be bo ca ce da de do el en er fa fi ga go ha hi in ka ko la le li lo ma me mi mo na ne no or pa pe ra re ri "
    "ro sa se so ta te ti to un va ve vi wa ya zo"
).split()
# Kept from training, to measure how words that it never saw are read.
UNSEEN_WORDS = (
    "Abigail Bjorn Chloe Dmitri Edwin Fatima Gustav Hannah Igor Jasmine Kurt Lydia Mohammed Nadia Olga Pedro Quincy "
    "Stefan Tobias Ursula Vincent Wolfgang Ximena Yvonne Zachary Hamburg Krakow Seville Tallinn Utrecht Zagreb Bergen "
    "Thompson Williams Schneider Johansson Fernandez Lindqvist Okafor Whitaker Pumpkin Blanket Monitor Printer Almonds "
    "Cushion Umbrella Notebook Charger Espresso Muffin Scissors Vinegar Walnuts Yoghurt Workshop Training Insurance"
).split()


class Content:
    """Values for one page. ``unseen`` takes words from a list that training does not use."""

    def __init__(self, rng: random.Random, *, unseen: bool = False) -> None:
        self.rng = rng
        self.unseen = unseen
        self.symbol, self.after, self.comma = rng.choice(
            [("$", False, False), ("$", False, False), ("€", False, False), ("£", False, False)]
            + [("", False, False)] * 3
            + [("€", True, True), ("", False, True), ("EUR", True, False), ("USD", True, False)]
        )
        self.space = rng.random() < 0.3
        self.date_style = rng.randrange(7)
        self.code_style = rng.randrange(6)

    def value(self, kind: str) -> Value:
        """A value of one kind."""
        rng = self.rng
        if kind == "money":
            return self.money(round(rng.choice([9, 99, 99, 999, 9999]) * rng.random() + 0.5, 2))
        if kind == "small":
            number = str(rng.randint(1, 40))
            return Value(number, number)
        text = {
            "company": self.company,
            "person": self.person,
            "code": self.code,
            "date": self.date,
            "phone": self.phone,
            "payment": lambda: rng.choice(PAYMENTS),
            "place": lambda: self.word(CITIES),
            "country": lambda: rng.choice(COUNTRIES),
        }[kind]()
        return Value(text, f'"{text}"')

    def money(self, amount: float) -> Value:
        """An amount in the style of this page; the answer is a plain number."""
        answer = f"{amount:.2f}"
        printed = f"{amount:,.2f}"
        if self.comma:
            printed = printed.replace(",", " ").replace(".", ",").replace(" ", ".")
        if self.symbol:
            gap = " " if self.space or len(self.symbol) > 1 else ""
            printed = f"{printed} {self.symbol}" if self.after else f"{self.symbol}{gap}{printed}"
        return Value(printed, answer)

    def word(self, known: list[str]) -> str:
        rng = self.rng
        if self.unseen:
            return rng.choice(UNSEEN_WORDS)
        chance = rng.random()
        if chance < 0.4:
            return rng.choice(known)
        if chance < 0.7:
            return "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 3))).capitalize()
        # Letters without a pattern: what a word begins with is no sign of how it goes on.
        return "".join(rng.choice(ascii_lowercase) for _ in range(rng.randint(3, 9))).capitalize()

    def company(self) -> str:
        rng = self.rng
        text = self.word(LAST)
        text += f" {rng.choice(TRADE)}" if rng.random() < 0.6 else ""
        return text + (f" {rng.choice(SUFFIX)}" if rng.random() < 0.4 or " " not in text else "")

    def person(self) -> str:
        return f"{self.word(FIRST)} {self.word(LAST)}" if self.rng.random() < 0.8 else self.word(FIRST)

    def product(self) -> str:
        rng = self.rng
        text = self.word(GOODS)
        return f"{rng.choice(ADJECTIVES)} {text.lower()}" if rng.random() < 0.3 else text

    def code(self) -> str:
        rng = self.rng

        def digits(count: int) -> str:
            return "".join(rng.choice("0123456789") for _ in range(count))

        def letters(count: int) -> str:
            return "".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(count))

        return (
            digits(rng.randint(4, 8)),
            f"{letters(rng.randint(1, 3))}-{digits(rng.randint(3, 6))}",
            f"{letters(rng.randint(2, 3))}{digits(rng.randint(3, 6))}",
            f"{rng.randint(2018, 2026)}-{digits(rng.randint(3, 5))}",
            f"{rng.choice(['INV', 'RE', 'NO', 'ORD'])}-{digits(rng.randint(3, 6))}",
            f"{digits(rng.randint(2, 4))}/{digits(rng.randint(2, 4))}",
        )[self.code_style if rng.random() < 0.7 else rng.randrange(6)]

    def date(self) -> str:
        rng = self.rng
        year, month, day = rng.randint(2015, 2029), rng.randint(1, 12), rng.randint(1, 28)
        name = MONTHS[month - 1]
        return (
            f"{year}-{month:02}-{day:02}",
            f"{day:02}/{month:02}/{year}",
            f"{month:02}/{day:02}/{year}",
            f"{day:02}.{month:02}.{year}",
            f"{day} {name[:3]} {year}",
            f"{name[:3]} {day}, {year}",
            f"{day}.{month}.{year}",
        )[self.date_style]

    def phone(self) -> str:
        rng = self.rng
        if rng.random() < 0.5:
            return f"{rng.randint(200, 999)}-{rng.randint(1000, 9999)}"
        return f"0{rng.randint(10, 99)} {rng.randint(100, 999)} {rng.randint(1000, 9999)}"

    def address(self) -> str:
        return f"{self.rng.randint(1, 250)} {self.rng.choice(STREETS)}"
