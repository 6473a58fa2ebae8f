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


@dataclass(frozen=True, slots=True)
class Question:
    """A schema with its answer. ``learn`` numbers the values of the tokens that the model chooses; 0 marks the tokens
    that a grammar forces."""

    schema: dict[str, Any]
    answer: str
    tokens: list[int]
    learn: list[int]


class _Answer:
    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.learn: list[int] = []
        self.values = 0

    def write(self, text: str, *, learn: bool) -> None:
        tokens = encode(text)
        self.tokens += tokens
        self.learn += [self.values if learn else 0] * len(tokens)

    def value(self, text: str) -> None:
        """A value; that it ends is learnt with the token that follows it."""
        self.values += 1
        self.write(text, learn=True)

    def close(self, text: str) -> None:
        """What follows a value: its first token says that the value is complete."""
        self.write(text[0], learn=True)
        self.write(text[1:], learn=False)


def ask(page: Page, rng: random.Random, *, most: int = 8) -> Question:
    """A schema of up to ``most`` fields over a page, some of them for what the page does not say."""
    answer = _Answer()
    properties: dict[str, Any] = {}
    entries = _choose(page, rng, most)
    answer.write("{", learn=False)
    for index, name in enumerate(entries):
        key = _key(rng, ITEM_KEYS["items"] if name == "items" else _keys(name), properties)
        answer.write(json.dumps(key) + ":", learn=False)
        last = index == len(entries) - 1
        if name == "items":
            properties[key] = _items(page, rng, answer)
        elif name == "currency":
            code = CURRENCIES.get(page.symbol)
            properties[key] = {"enum": ["USD", "EUR", "GBP", None]}
            answer.value(json.dumps(code))
        else:
            properties[key] = _field(page.says.get(name), FIELDS[name].kind, rng, answer)
        answer.close("}" if last else ",")
    answer.tokens.append(EOS)
    answer.learn.append(0)
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    text = bytes(answer.tokens[:-1]).decode()
    return Question(schema, text, answer.tokens, answer.learn)


def _choose(page: Page, rng: random.Random, most: int) -> list[str]:
    present = [*page.says]
    chosen = [name for name in present if rng.random() < 0.8][:most] or present[:1]
    absent = [name for name in FIELDS if name not in page.says and name != "vendor"]
    chosen += [name for name in rng.sample(absent, min(len(absent), 3)) if rng.random() < 0.25]
    if page.items and rng.random() < 0.7:
        chosen.append("items")
    if page.kind != "form" and rng.random() < 0.12:
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


def _field(value: Value | None, kind: str, rng: random.Random, answer: _Answer) -> dict[str, Any]:
    number = {"money": "number", "small": "integer"}.get(kind)
    nullable = value is None or rng.random() < 0.3
    if number and rng.random() < 0.9:
        answer.value("null" if value is None else value.answer)
        return {"type": [number, "null"] if nullable else number}
    answer.value("null" if value is None else json.dumps(value.printed, ensure_ascii=False))
    return {"type": ["string", "null"] if nullable else "string"}


def _items(page: Page, rng: random.Random, answer: _Answer) -> dict[str, Any]:
    names = [name for name in ("description", "quantity", "unit_price", "amount") if name in page.columns]
    names = [name for name in names if rng.random() < 0.75] or names[:1]
    if rng.random() < 0.2:
        rng.shuffle(names)
    taken: dict[str, Any] = {}
    kinds = {"description": "string", "quantity": "integer", "unit_price": "number", "amount": "number"}
    for name in names:
        taken[_key(rng, ITEM_KEYS[name], taken)] = {"type": kinds[name]}
    answer.value("[")
    for index, row in enumerate(page.items):
        if index:
            answer.close(",")
            answer.write("{", learn=False)
        else:
            answer.write("{", learn=True)
        for number, (name, key) in enumerate(zip(names, taken, strict=True)):
            answer.write(json.dumps(key) + ":", learn=False)
            answer.value(row[name].answer)
            answer.close("}" if number == len(names) - 1 else ",")
    answer.write("]", learn=True)
    inner = {"type": "object", "properties": taken, "required": list(taken), "additionalProperties": False}
    return {"type": "array", "items": inner}
