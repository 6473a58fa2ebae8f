"""A model that reads statements perfectly, or as a test says: it copies the rows of its prompt."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

ROW = re.compile(r"(\d{4}-\d\d-\d\d)\s+(\w+)\s+(\S.*?)\s{2,}(-?[\d,]+\.\d\d)\s+(-?[\d,]+\.\d\d)")
WANTED = re.compile(r"whose reference is (\w+)\.")
HOLDER = re.compile(r"Account holder: (.+)")
IBAN = re.compile(r"IBAN: (.+)")
CLOSING = re.compile(r"Closing balance: ([\d,.]+)")


def document_of(prompt: str) -> str:
    """The document's part in a prompt."""
    return prompt.partition("The document:\n\n")[2].partition("\n\nFill in the template")[0]


def rows_of(text: str) -> list[dict[str, Any]]:
    return [
        {
            "date": day,
            "reference": reference,
            "description": description,
            "amount": float(amount.replace(",", "")),
            "balance": float(balance.replace(",", "")),
        }
        for day, reference, description, amount, balance in ROW.findall(text)
    ]


def reader(change: Callable[[str, list[dict[str, Any]]], list[dict[str, Any]]] = lambda text, rows: rows) -> Any:
    """What answers a prompt with what is printed in it; ``change`` makes the rows other ones."""

    @lru_cache(maxsize=4096)
    def answer(prompt: str) -> str:
        system, text = prompt.partition("The document:\n\n")[0], document_of(prompt)
        rows = [
            {name: value for name, value in row.items() if f'"{name}"' in system or name == "reference"}
            for row in change(text, rows_of(text))
        ]
        wanted = WANTED.search(prompt)
        if wanted is not None:
            return json.dumps(next(row for row in rows if row["reference"] == wanted[1]))
        if '"keys"' in system:
            return json.dumps({"keys": [row["reference"] for row in rows]})
        value: dict[str, Any] = {
            "account_holder": _first(HOLDER, text),
            "iban": _first(IBAN, text),
            "closing_balance": _number(_first(CLOSING, text)),
        }
        return json.dumps({**value, "transactions": rows} if '"transactions"' in system else value)

    return answer


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found[1].strip() if found else None


def _number(text: str | None) -> float | None:
    return None if text is None else float(text.replace(",", ""))
