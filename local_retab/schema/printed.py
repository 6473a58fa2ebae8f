"""Strings that are dates by their name: held to what a date looks like in print, so that no time of day follows it.

A receipt prints 14 Mar 2018 18:40, and the field is called date: a model copies the line to its end. Only names decide,
with the description able to say otherwise, and only strings that nothing else limits are held. A plan that must leave
out no value of the schema holds none of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

KEYWORD = "X-Printed"
"""In an inference schema: ``date`` at a string that is held to PATTERN."""

_DATES = frozenset({"date", "datum", "fecha"})
_MORE = re.compile(
    r"time|hour|clock|range|period|interval|between|uhrzeit|\bhora|\bzeit(?:raum|punkt|stempel)", re.IGNORECASE
)
"""What asks for more than one date, or for more than a date."""
_LIMITS = frozenset({"pattern", "format", "enum", "const", "minLength", "allOf", "anyOf", "$ref"})

_WORD = r"[A-Za-z\u0080-\U0010FFFF]{1,24}"
_GAP = r"[ ,./'()-]"
_WORDS = rf"{_WORD}(?:{_GAP}{{1,3}}{_WORD}){{0,5}}"
_NUMBER = r"[0-9]{1,4}"
_MARKED = r" ?[./–年月日년월일-] ?"
_SPACED = rf"(?:{_GAP}{{1,2}}|{_MARKED})"
_LED = rf"{_WORDS}{_GAP}{{1,3}}{_NUMBER}{_MARKED}{_NUMBER}{_MARKED}{_NUMBER}"
_NUMERIC = rf"{_NUMBER}{_SPACED}{_NUMBER}{_SPACED}{_NUMBER}"
_WORDED = rf"{_NUMBER}{_GAP}{{0,3}}{_WORDS}(?:{_GAP}{{0,3}}{_NUMBER})?"
_NAMED = rf"(?:{_WORDS}{_GAP}{{0,3}})?(?:{_NUMBER}(?:{_GAP}{{1,3}}{_NUMBER})?|{_WORDED})?"
_COMPACT = r"[0-9]{6,8}"
PATTERN = rf"^(?:{_LED}|{_NUMERIC}|{_NAMED}|{_COMPACT})[.)年月日년월일]?$"
"""Three numbers in a row, up to two numbers among words, or the digits of a date alone, in any script and order; after
the last number there is no word, as a model that may not write 18:40 will spell it. Words before three numbers are
weekdays and places, if a point or the like stands between the numbers: in March 14, 2018 18 the last number is an hour.
Neither the empty text nor N/A is left out."""
LONGEST = 600
"""Characters that no text under PATTERN has."""


def is_date(name: str, schema: Mapping[str, Any]) -> bool:
    """Whether the string of a property is a date that is written as it is printed."""
    kinds = schema.get("type")
    strings = kinds == "string" or (isinstance(kinds, list) and set(kinds) == {"string", "null"})
    if not strings or schema.keys() & _LIMITS:
        return False
    words = [word.casefold() for word in re.findall(r"[^\W\d_]?[^\W\d_A-Z]+|[^\W\d_]+", name)]
    named = words[-1:] and (words[-1] in _DATES or words[-1].endswith("datum") or words[:2] == ["date", "of"])
    return bool(named) and _MORE.search(f"{' '.join(words)} {schema.get('description', '')}") is None
