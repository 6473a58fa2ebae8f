"""Where generated pages say it: receipts, invoices, forms and loose labelled lines, as runs of text on a sheet."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from nano.alphabet import GLYPHS
from nano.content import FIELDS, HEADERS, Content, Field, Value
from nano.fonts import CELL_HEIGHT, CELL_WIDTH, Face, Faces

SIZES = (13, 14, 15, 16, 17, 18, 19)  # pixels; smaller ones would put too many characters under one patch
MOST_ROWS = 3  # of items
PAGES = ("receipt", "invoice", "form")
SECOND = ("lines", "form")  # kinds of a second sheet
ON_RECEIPTS = ("receipt_number", "date", "cashier", "table", "order_number", "phone")
ON_INVOICES = ("invoice_number", "date", "due_date", "customer", "po_number", "order_number", "reference", "phone")
ON_FORMS = ("name", "birth_date", "city", "country", "policy", "member", "department", "date", "reference", "amount")
TITLES = {
    "receipt": ("RECEIPT", "Receipt"),
    "invoice": ("INVOICE", "Invoice"),
    "form": ("FORM", "Application", "Claim"),
}
THANKS = ("Thank you!", "Thanks", "Please come again", "Paid with thanks", "Have a nice day")


@dataclass(frozen=True, slots=True)
class Run:
    """One text on the sheet; ``x`` and ``baseline`` in pixels."""

    text: str
    x: int
    baseline: int
    face: Face


@dataclass(slots=True)
class Page:
    """A page before it is drawn, and what it says: fields by name, and items as rows of named cells. ``places`` has
    the run and the offset in it where each value is printed, by name and row of items (0 for a field)."""

    width: int
    height: int
    kind: str
    symbol: str
    cells: bool = False
    runs: list[Run] = field(default_factory=list)
    rules: list[tuple[int, int, int]] = field(default_factory=list)  # x from, x to, y
    says: dict[str, Value] = field(default_factory=dict)
    items: list[dict[str, Value]] = field(default_factory=list)
    columns: tuple[str, ...] = ()
    places: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)


def stack(first: Page, second: Page) -> Page:
    """Two pages of one document, one above the other. What both say, the first one says; its items are kept."""
    lines = len(first.runs)
    below = [Run(run.text, run.x, run.baseline + first.height, run.face) for run in second.runs]
    places = {spot: (run + lines, offset) for spot, (run, offset) in second.places.items()}
    return Page(
        first.width,
        first.height + second.height,
        first.kind,
        first.symbol,
        first.cells,
        first.runs + below,
        says=second.says | first.says,
        items=first.items,
        columns=first.columns,
        places={spot: place for spot, place in places.items() if spot[1] == 0} | first.places,
    )


def draw_up(
    faces: Faces,
    width: int,
    height: int,
    rng: random.Random,
    *,
    kind: str,
    cells: bool = False,
    unseen: bool = False,
    items: bool = True,
) -> Page:
    """A page of one kind: ``text``, ``line``, ``lines``, ``receipt``, ``invoice`` or ``form``. Sides in pixels.

    ``cells``: as receipt printers and typewriters write, a character in each cell of a grid. ``items``: with tables.
    """
    writer = (_CellWriter if cells else _Writer)(faces, width, height, rng, kind, unseen)
    writer.tables = items
    kinds = (writer.text, writer.line, writer.lines, writer.receipt, writer.invoice, writer.form)
    {method.__name__: method for method in kinds}[kind]()
    return writer.page


class _Writer:
    """The pen on one sheet: it moves down line by line, and what has no room is left out."""

    def __init__(self, faces: Faces, width: int, height: int, rng: random.Random, kind: str, unseen: bool) -> None:
        self.rng = rng
        self.tables = True
        self.content = Content(rng, unseen=unseen)
        self.page = Page(width, height, kind, self.content.symbol)
        path = rng.choice(faces.paths)
        size = rng.choice([size for size in SIZES if size <= max(15, width // 17)])
        self.face = faces.face(path, size)
        self.bold = faces.face(rng.choice(faces.paths), size) if rng.random() < 0.4 else self.face
        self.title = faces.face(self.bold.path, min(size + rng.choice([0, 0, 2, 4]), 21))
        self.left = rng.randint(2, max(3, min(18, width // 20)))
        self.right = width - rng.randint(2, max(3, min(18, width // 20)))
        self.pitch = max(17, size + rng.randint(2, 8))
        self.y = rng.randint(0, 10) + size
        self.colon = rng.choice([":", ":", "", " :"])
        self.style = rng.choice(["inline", "inline", "column", "column", "right", "right"])
        self.tab = self.left + int((self.right - self.left) * rng.uniform(0.38, 0.55))

    # The pen

    def put(self, text: str, *, x: int | None = None, align: str = "left", face: Face | None = None) -> bool:
        """Write on this line; False, and nothing written, where it does not fit."""
        face = face or self.face
        width = face.width(text)
        if x is None:
            x = {"left": self.left, "center": (self.left + self.right) // 2, "right": self.right}[align]
        start = self.place(x - {"left": 0, "center": width / 2, "right": width}[align])
        if start < 0 or start + width > self.page.width or not self.room():
            return False
        self.page.runs.append(Run(text, start, self.y, face))
        return True

    def note(self, name: str, value: Value, *, row: int = 0) -> None:
        """The last text written has this value, at its end where it has more."""
        text = self.page.runs[-1].text
        self.page.places[name, row] = (len(self.page.runs) - 1, text.rindex(value.printed))

    def place(self, x: float) -> int:
        return round(x)

    def gap(self, pixels: int) -> None:
        self.y += pixels

    def room(self, lines: int = 1) -> bool:
        return self.y + (lines - 1) * self.pitch <= self.page.height - 5

    def feed(self, lines: float = 1) -> None:
        self.y += int(self.pitch * lines)

    def rule(self, chance: float = 0.4) -> None:
        if self.rng.random() < chance and self.room():
            self.page.rules.append((self.left, self.right, self.y - self.face.size - 1))
            self.gap(3)

    def fits(self, label: str, value: str, style: str) -> bool:
        label_width, value_width = self.bold.width(label + " "), self.face.width(value)
        if style == "column":
            return self.left + label_width <= self.tab and self.tab + value_width < self.right
        return self.left + label_width + value_width + 12 < self.right

    def labelled(self, name: str, value: Value | None = None, *, style: str | None = None) -> bool:
        """One labelled field on its own line; other styles are tried where the page's own does not fit."""
        if name in self.page.says:
            return False
        known: Field = FIELDS[name]
        value = value or self.content.value(known.kind)
        label = self.rng.choice(known.labels) + self.colon
        style = style or self.style
        if style == "above":
            return self.stacked(name, label, value)
        fitting = [way for way in (style, "inline", "right") if self.fits(label, value.printed, way)]
        if not fitting or not self.room():
            return False
        style = fitting[0]
        if style == "inline" and self.bold is self.face:
            written = self.put(f"{label} {value.printed}")
        else:
            self.put(label, face=self.bold)
            if style == "inline":
                written = self.put(value.printed, x=round(self.left + self.bold.width(label + " ")))
            elif style == "column":
                written = self.put(value.printed, x=self.tab)
            else:
                written = self.put(value.printed, align="right")
        if written:
            self.page.says[name] = value
            self.note(name, value)
        self.feed()
        return written

    def stacked(self, name: str, label: str, value: Value) -> bool:
        """The label on one line and the value under it."""
        wide = max(self.bold.width(label), self.face.width(value.printed))
        if not self.room(2) or self.left + wide >= self.right:
            return False
        self.put(label, face=self.bold)
        self.feed()
        written = self.put(value.printed)
        if written:
            self.page.says[name] = value
            self.note(name, value)
        self.feed(1.2)
        return written

    def some(self, names: tuple[str, ...], least: int, most: int) -> list[str]:
        return self.rng.sample(names, min(len(names), self.rng.randint(least, most)))

    # The kinds of page

    def text(self) -> None:
        """Words, numbers and codes all over the sheet, to learn the characters from."""
        kinds = ("company", "person", "code", "date", "phone", "money", "place", "payment")
        while self.room():
            words = [self.content.value(self.rng.choice(kinds)).printed]
            if self.rng.random() < 0.3:
                words = ["".join(self.rng.choice(GLYPHS) for _ in range(self.rng.randint(2, 14))).strip() or "x"]
            elif self.rng.random() < 0.4:
                words.insert(0, self.rng.choice(self.rng.choice(list(FIELDS.values())).labels) + self.colon)
            x = self.left + self.rng.randint(0, 40)
            while words and self.put(text := words.pop(0), x=x):
                x += round(self.face.width(text)) + self.rng.randint(4, 40)
                words.append(self.content.value(self.rng.choice(kinds)).printed)
            self.feed()

    def line(self) -> None:
        """One labelled field."""
        self.gap(self.rng.randint(0, max(0, self.page.height - self.y - 5)))
        self.labelled(self.rng.choice(list(FIELDS)))

    def lines(self) -> None:
        """Loose labelled lines, or a few items."""
        if self.tables and self.rng.random() < 0.15:
            self.table()
        names = list(FIELDS)
        self.rng.shuffle(names)
        for name in names:
            if not self.room():
                break
            self.labelled(name, style="above" if self.rng.random() < 0.1 else None)
            self.gap(self.rng.choice([0, 0, 0, 3, 8]))

    def head(self) -> None:
        """The vendor's name, and perhaps an address, above everything else."""
        align = self.rng.choice(["left", "center", "center"])
        for _ in range(6):
            value = self.content.value("company")
            if self.put(value.printed, align=align, face=self.title):
                self.page.says["vendor"] = value
                self.note("vendor", value)
                break
        self.feed(self.title.size / self.face.size)
        if self.rng.random() < 0.5 and self.put(self.content.address(), align=align):
            self.feed()

    def receipt(self) -> None:
        self.head()
        if self.rng.random() < 0.3 and self.put(self.rng.choice(TITLES["receipt"]), align="center", face=self.bold):
            self.feed()
        self.rule()
        for name in self.some(ON_RECEIPTS, 1, 4):
            self.labelled(name)
        self.gap(self.rng.randint(0, 8))
        self.rule()
        self.table()
        self.totals()
        if self.rng.random() < 0.5:
            self.labelled("payment")
        if self.rng.random() < 0.4:
            self.gap(4)
            self.put(self.rng.choice(THANKS), align="center")

    def invoice(self) -> None:
        if self.rng.random() < 0.5:
            self.put(self.rng.choice(TITLES["invoice"]), align=self.rng.choice(["left", "right"]), face=self.title)
            self.feed(self.title.size / self.face.size)
        self.head()
        self.gap(self.rng.randint(0, 8))
        for name in self.some(ON_INVOICES, 2, 5):
            self.labelled(name, style="above" if name == "customer" and self.rng.random() < 0.3 else None)
        self.gap(self.rng.randint(0, 8))
        self.rule()
        if self.rng.random() < 0.75:
            self.table()
        self.totals()

    def form(self) -> None:
        if self.rng.random() < 0.6:
            self.put(self.rng.choice(TITLES["form"]), align=self.rng.choice(["left", "center"]), face=self.title)
            self.feed(self.title.size / self.face.size)
        above = self.rng.random() < 0.3
        for name in self.some(ON_FORMS, 4, 9):
            if self.labelled(name, style="above" if above else None) and self.rng.random() < 0.3:
                self.gap(3)
            self.rule(0.15)

    # The table and its totals

    def table(self) -> None:
        """Rows of items: name and amount at least, and as many columns as the width has room for."""
        rng = self.rng
        shape = rng.choice(["plain", "plain", "count", "table", "table"])
        span = self.right - self.left
        wide = max(self.face.width(self.content.money(1000.0).printed + " "), self.bold.width("Amount "))
        columns = {
            "plain": ("description", "amount"),
            "count": ("quantity", "description", "amount"),
            "table": rng.choice(
                [("description", "quantity", "amount"), ("description", "quantity", "unit_price", "amount")]
            ),
        }[shape]
        edges = {"amount": self.right, "unit_price": self.right - round(wide)}
        edges["quantity"] = edges["unit_price" if "unit_price" in columns else "amount"] - round(wide)
        counts = self.face.width("00 x ")
        room = {"plain": span - wide, "count": span - wide - counts, "table": edges["quantity"] - self.left - counts}
        if room[shape] < self.face.width("Sandwich"):
            shape, columns = "plain", ("description", "amount")
        if shape == "table" and rng.random() < 0.8:
            self.put(rng.choice(HEADERS["description"]), face=self.bold)
            for name in columns[1:]:
                header = rng.choice([text for text in HEADERS[name] if self.bold.width(text) < wide])
                self.put(header, x=edges[name], align="right", face=self.bold)
            self.feed()
            self.rule()
        times = rng.choice([" x", " x", "", "x"])
        for _ in range(rng.choice([1, 1, 2, 2, MOST_ROWS])):
            if not self.room(4):
                break
            self.row(shape, columns, edges, room[shape], times)
        if self.page.items:
            self.page.columns = columns
        self.gap(rng.randint(0, 6))
        self.rule()

    def row(self, shape: str, columns: tuple[str, ...], edges: dict[str, int], room: float, times: str) -> None:
        rng, row = self.rng, len(self.page.items) + 1
        count = rng.choice([1, 1, 1, 2, 2, 3, 4, 5, 10, 12])
        price = round(rng.choice([5, 20, 20, 100]) * rng.random() + 0.5, 2)
        cells = {
            "quantity": Value(str(count), str(count)),
            "unit_price": self.content.money(price),
            "amount": self.content.money(round(count * price, 2)),
        }
        for _ in range(8):
            text = self.content.product()
            if self.face.width(text) <= room - 6:
                break
        else:
            return
        cells["description"] = Value(text, f'"{text}"')
        before = len(self.page.runs)
        x = self.left
        if shape == "count":
            mark = f"{count}{times} "
            self.put(mark.rstrip())
            self.note("quantity", cells["quantity"], row=row)
            x = round(self.left + self.face.width(mark))
        for name in columns:
            if shape == "count" and name == "quantity":
                continue
            right = name in edges
            if not self.put(cells[name].printed, x=edges[name] if right else x, align="right" if right else "left"):
                del self.page.runs[before:]
                for left in columns:
                    self.page.places.pop((left, row), None)
                return
            self.note(name, cells[name], row=row)
        self.page.items.append({name: cells[name] for name in columns})
        self.feed()

    def totals(self) -> None:
        """Subtotal, tax and total, consistent with each other."""
        rng = self.rng
        amounts = [float(item["amount"].answer) for item in self.page.items]
        net = round(sum(amounts), 2) if amounts else round(rng.choice([50, 500, 5000]) * rng.random() + 1, 2)
        tax = round(net * rng.choice([0.05, 0.07, 0.1, 0.19, 0.2]), 2)
        style = rng.choice(["right", "right", self.style])
        both = rng.random() < 0.6
        if both:
            self.labelled("subtotal", self.content.money(net), style=style)
            self.labelled("tax", self.content.money(tax), style=style)
        self.labelled("total", self.content.money(round(net + tax, 2) if both else net), style=style)


class _CellWriter(_Writer):
    """A pen that moves by cells of a grid."""

    def __init__(self, faces: Faces, width: int, height: int, rng: random.Random, kind: str, unseen: bool) -> None:
        super().__init__(faces, width, height, rng, kind, unseen)
        self.page.cells = True
        self.face = rng.choice(faces.cells)
        self.bold = rng.choice(faces.cells) if rng.random() < 0.3 else self.face
        self.title = self.bold
        self.left = rng.randint(0, 2) * CELL_WIDTH
        self.right = width - rng.randint(0, 2) * CELL_WIDTH
        self.pitch = CELL_HEIGHT * rng.choice([1, 1, 1, 1, 2])
        self.y = 12 + (CELL_HEIGHT * rng.randint(0, 1) if height > 2 * CELL_HEIGHT else 0)

    def place(self, x: float) -> int:
        return round(x / CELL_WIDTH) * CELL_WIDTH

    def gap(self, pixels: int) -> None:
        if self.rng.random() < pixels / CELL_HEIGHT:
            self.y += CELL_HEIGHT

    def room(self, lines: int = 1) -> bool:
        return self.y + (lines - 1) * self.pitch <= self.page.height - 4

    def feed(self, lines: float = 1) -> None:
        self.y += self.pitch * max(1, int(lines))

    def rule(self, chance: float = 0.4) -> None:
        if self.rng.random() < chance / 2:
            self.put(self.rng.choice("-=") * ((self.right - self.left) // CELL_WIDTH))
            self.feed()
