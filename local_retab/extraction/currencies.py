"""How currencies are printed."""

from __future__ import annotations

import re

CURRENCIES = {
    "EUR": "€ euro euros",
    "USD": "$ usdollars usdollar dollars",
    "GBP": "£ poundssterling pounds sterling",
    "JPY": "¥ yen",
    "INR": "₹ rupees rs",
    "MYR": "rm ringgit",
    "CHF": "sfr francs",
    "SEK": "kr",
    "NOK": "kr",
    "DKK": "kr",
    "PLN": "zł",
}
"""By code: the signs and words that are printed for it, without case and blanks."""
_CODE = re.compile(r"[A-Z]{2,3}")
_WORDS = frozenset(word for words in CURRENCIES.values() for word in words.split())


def is_currency(word: str) -> bool:
    """Whether a word beside an amount can be its currency: a code in capitals, or one of the words above."""
    return _CODE.fullmatch(word) is not None or word.casefold() in _WORDS
