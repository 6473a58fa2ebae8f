"""Formats: which of them the grammar holds, and how finished values are checked with the standard library alone."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import date
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsonschema import FormatChecker

HELD = frozenset(
    {"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"}
)  # that llguidance knows
CALENDAR = frozenset({"date", "date-time"})  # held but for the calendar

_TIME = re.compile(
    r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?(z|[+-]([01]\d|2[0-3]):[0-5]\d)", re.ASCII | re.IGNORECASE
)
_DURATION = re.compile(
    r"P(?=\d|T\d)((\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?|\d+W)", re.ASCII
)  # RFC 3339, appendix A
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOSTNAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*", re.ASCII | re.IGNORECASE)
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[^\s<>\"{}|\\^`]*", re.ASCII | re.IGNORECASE)
_POINTER = re.compile(r"(/([^~/]|~[01])*)*")


def _date(text: str) -> bool:
    date.fromisoformat(text)  # which also reads weeks and dates without dashes
    return len(text) == 10 and text[4] == text[7] == "-"


def _date_time(text: str) -> bool:
    day, letter, time = text[:10], text[10:11], text[11:]
    return _date(day) and letter in {"T", "t"} and _TIME.fullmatch(time) is not None


def _address(kind: Callable[[str], object]) -> Callable[[str], bool]:
    return lambda text: "%" not in text and bool(kind(text))


def _regex(text: str) -> bool:
    re.compile(text)
    return True


def _uuid(text: str) -> bool:
    uuid.UUID(text)
    return len(text) == 36 and all(text[position] == "-" for position in (8, 13, 18, 23))


def _mail(text: str) -> bool:
    local, at, domain = text.rpartition("@")
    return bool(local and at and domain)


CHECKED: Mapping[str, Callable[[str], bool]] = {
    "date": _date,
    "date-time": _date_time,
    "duration": lambda text: _DURATION.fullmatch(text) is not None,
    "email": _mail,
    "hostname": lambda text: _HOSTNAME.fullmatch(text) is not None,
    "idn-email": _mail,
    "ipv4": _address(IPv4Address),
    "ipv6": _address(IPv6Address),
    "json-pointer": lambda text: _POINTER.fullmatch(text) is not None,
    "regex": _regex,
    "time": lambda text: _TIME.fullmatch(text) is not None,
    "uri": lambda text: _URI.fullmatch(text) is not None,
    "uuid": _uuid,
}


def format_checker() -> FormatChecker:
    """A jsonschema checker of exactly the formats of CHECKED."""
    from jsonschema import FormatChecker

    checker = FormatChecker(formats=())
    for name, check in CHECKED.items():
        checker.checks(name, raises=(ValueError, re.error, OverflowError))(_for_strings(check))
    return checker


def _for_strings(check: Callable[[str], bool]) -> Callable[[object], bool]:
    return lambda value: not isinstance(value, str) or check(value)
