"""Schemas over what a page says, and their answers, in the text that the grammar of the engine writes."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from nano.alphabet import EOS, encode
from nano.content import FIELDS, ITEM_KEYS, Value
from nano.layout import Page

CURRENCIES = {"$": "USD", "USD": "USD", "€": "EUR", "EUR": "EUR", "£": "GBP"}


NOWHERE = -1
# Bounds of schemas: a model that does not find the end is stopped soon. No page comes near them.
LONGEST, MOST_ITEMS = 48, 8
Spot = tuple[str, int]  # a value on a page: its name, and its row of items or 0
Aim = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Question:
    """A schema with its answer. ``learn`` numbers the values of the tokens that the model chooses; 0 marks the tokens
    that a grammar forces. ``ends`` marks what ends a number: whether a comma or a bracket is right is the grammar's
    to say, as the schema is not shown, and the model only says that the number is complete.

    ``aims`` has for each token that the model chooses the character of the page that decides it: name and row of a
    value and an offset in its print, or NOWHERE as offset, where the page does not have it."""

    schema: dict[str, Any]
    answer: str
    tokens: list[int]
    learn: list[int]
    ends: list[bool]
    aims: list[Aim | None]


class _Answer:
    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.learn: list[int] = []
        self.ends: list[bool] = []
        self.aims: list[Aim | None] = []
        self.values = 0

    def force(self, text: str) -> None:
        for token in encode(text):
            self._write(token, 0, None)

    def choose(self, text: str, aim: Aim | None) -> None:
        """One character of the last value."""
        token, *rest = encode(text)
        self._write(token, self.values, aim)
        for token in rest:
            self._write(token, self.values, aim)

    def text(self, printed: str, spot: Spot, *, nullable: bool) -> None:
        """What is printed, as a text. Its first quote is chosen only where it might be null."""
        self.values += 1
        if nullable:
            self.choose('"', (*spot, 0))
        else:
            self.force('"')
        for offset, char in enumerate(printed):
            self.choose(char, (*spot, offset))
        self.choose('"', (*spot, len(printed)))

    def null(self, spot: Spot) -> None:
        self.values += 1
        self.choose("n", (*spot, NOWHERE))
        self.force("ull")

    def number(self, value: Value, spot: Spot) -> Aim:
        """A number; what follows it says that it is complete. Gives where that is seen."""
        self.values += 1
        offset = 0
        for char in value.answer:
            marks = ".," if char == "." else char
            offset = next(at for at in range(offset, len(value.printed)) if value.printed[at] in marks) + 1
            self.choose(char, (*spot, offset - 1))
        return (*spot, offset)

    def end(self, text: str, aim: Aim | None) -> None:
        """What follows a value; ``aim`` where it is a number."""
        self._write(ord(text), self.values if aim else 0, aim, ends=aim is not None)

    def _write(self, token: int, learn: int, aim: Aim | None, *, ends: bool = False) -> None:
        self.tokens.append(token)
        self.learn.append(learn)
        self.ends.append(ends)
        self.aims.append(aim)


def ask(page: Page, rng: random.Random, *, most: int = 8) -> Question:
    """A schema of up to ``most`` fields over a page, some of them for what the page does not say."""
    answer = _Answer()
    properties: dict[str, Any] = {}
    entries = _choose(page, rng, most)
    answer.force("{")
    for index, name in enumerate(entries):
        key = _key(rng, ITEM_KEYS["items"] if name == "items" else _keys(name), properties)
        answer.force(json.dumps(key) + ":")
        end = None
        if name == "items":
            properties[key] = _items(page, rng, answer)
        elif name == "currency":
            properties[key] = _currency(page, answer)
        else:
            properties[key], end = _field(page.says.get(name), name, rng, answer)
        answer.end("}" if index == len(entries) - 1 else ",", end)
    answer.tokens.append(EOS)
    answer.learn.append(0)
    answer.ends.append(False)
    answer.aims.append(None)
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    text = bytes(answer.tokens[:-1]).decode()
    return Question(schema, text, answer.tokens, answer.learn, answer.ends, answer.aims)


def _choose(page: Page, rng: random.Random, most: int) -> list[str]:
    present = [*page.says]
    chosen = [name for name in present if rng.random() < 0.8][:most] or present[:1]
    absent = [name for name in FIELDS if name not in page.says and name != "vendor"]
    chosen += [name for name in rng.sample(absent, min(len(absent), 3)) if rng.random() < 0.25]
    if page.items and rng.random() < 0.7:
        chosen.append("items")
    printed = page.symbol and any(page.symbol in run.text for run in page.runs)
    if page.kind != "form" and (printed or not page.symbol) and rng.random() < 0.12:
        chosen.append("currency")
    if rng.random() < 0.6:
        rng.shuffle(chosen)
    return chosen or ["date"]


def _keys(name: str) -> tuple[str, ...]:
    return ("currency", "currency_code") if name == "currency" else FIELDS[name].keys


def _key(rng: random.Random, names: tuple[str, ...], taken: dict[str, Any]) -> str:
    weights = [3.0] + [1.0] * (len(names) - 1)
    free = [(name, weight) for name, weight in zip(names, weights, strict=True) if name not in taken]
    return rng.choices([name for name, _ in free], [weight for _, weight in free])[0]


def _currency(page: Page, answer: _Answer) -> dict[str, Any]:
    code = CURRENCIES.get(page.symbol)
    answer.values += 1
    answer.choose("n" if code is None else '"', None)
    if code is None:
        answer.force("ull")
    else:
        answer.choose(code + '"', None)
    return {"enum": ["USD", "EUR", "GBP", None]}


def _field(value: Value | None, name: str, rng: random.Random, answer: _Answer) -> tuple[dict[str, Any], Aim | None]:
    """The schema of a field, and what ends its answer where that is a number."""
    number = {"money": "number", "small": "integer"}.get(FIELDS[name].kind)
    nullable = value is None or rng.random() < 0.3
    if value is None:
        answer.null((name, 0))
        return {"type": [number or "string", "null"]}, None
    if number and rng.random() < 0.9:
        return {"type": [number, "null"] if nullable else number}, answer.number(value, (name, 0))
    # A key does not tell that a number is wanted as text, so then the grammar has to.
    nullable = nullable and not number
    answer.text(value.printed, (name, 0), nullable=nullable)
    return {"type": ["string", "null"] if nullable else "string", "maxLength": LONGEST}, None


def _items(page: Page, rng: random.Random, answer: _Answer) -> dict[str, Any]:
    names = [name for name in ("description", "quantity", "unit_price", "amount") if name in page.columns]
    names = [name for name in names if rng.random() < 0.75] or names[:1]
    if rng.random() < 0.2:
        rng.shuffle(names)
    taken: dict[str, Any] = {}
    kinds = {"description": "string", "quantity": "integer", "unit_price": "number", "amount": "number"}
    for name in names:
        bound = {"maxLength": LONGEST} if name == "description" else {}
        taken[_key(rng, ITEM_KEYS[name], taken)] = {"type": kinds[name]} | bound
    answer.values += 1
    answer.force("[")
    for row, cells in enumerate(page.items, start=1):
        answer.choose(",{"[row == 1], (names[0], row, 0))
        if row > 1:
            answer.force("{")
        for place, (name, key) in enumerate(zip(names, taken, strict=True)):
            answer.force(json.dumps(key) + ":")
            end = None
            if name == "description":
                answer.text(cells[name].printed, (name, row), nullable=False)
            else:
                end = answer.number(cells[name], (name, row))
            answer.end("}" if place == len(names) - 1 else ",", end)
    answer.choose("]", (names[0], len(page.items) + 1, NOWHERE))
    inner = {"type": "object", "properties": taken, "required": list(taken), "additionalProperties": False}
    return {"type": "array", "items": inner, "maxItems": MOST_ITEMS}
