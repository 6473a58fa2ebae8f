"""Formats: which of them the grammar holds, and how finished values are checked.

From the RFCs that JSON Schema names for them; A-labels of host names (RFC 5891) by the idna library.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

from local_retab.schema.ecma import is_ecma
from local_retab.schema.patterns import searcher

if TYPE_CHECKING:
    from jsonschema import FormatChecker

HELD = frozenset(
    {"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"}
)  # that llguidance knows
WHOLE = frozenset({"date", "date-time", "duration", "ipv4", "time", "uuid"})  # and of which it knows every value
CALENDAR = frozenset({"date", "date-time"})  # that llguidance holds but for the calendar

_LEAP = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9][0-9]|[0-9][1-9][0-9]{2}|[1-9][0-9]{3})"
_DAY = (
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_EXACT_DATE = f"(?:{_YEAR}-{_DAY}|{_LEAP}-02-29)"
_CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_EXACT_TIME = rf"(?:{_CLOCK}:[0-5][0-9](?:\.[0-9]+)?(?:[Zz]|[+-]{_CLOCK})|23:59:60(?:\.[0-9]+)?[Zz])"
_EXACT = {"date": f"^{_EXACT_DATE}$", "date-time": f"^{_EXACT_DATE}[Tt]{_EXACT_TIME}$"}
_LIMITS = frozenset({"pattern", "minLength", "maxLength", "allOf"})
_ESCAPED = "%[0-9A-Fa-f]{2}"
_PATH = rf"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|{_ESCAPED})"
_QUERY = rf"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|{_ESCAPED})"
_HOST = rf"(?:[A-Za-z0-9._~-]|{_ESCAPED}){{1,253}}(?::[0-9]{{1,5}})?"
_HIERARCHIC = "https?|ftps?|sftp|ssh|wss?|ldaps?|smb|s3|gs|git|svn|rtsp|rtmp|ircs?"
_OPAQUE = "file|mailto|tel|sms|urn|doi|geo|data|magnet|news|about"
USUAL_URI = (
    rf"^(?:(?:{_HIERARCHIC})://{_HOST}(?:/{_PATH}{{0,800}})?(?:\?{_QUERY}{{0,800}})?(?:#{_QUERY}{{0,200}})?"
    rf"|(?:{_OPAQUE}):{_PATH}{{1,1800}})$"
)
"""URIs of schemes in use. Any word can be a scheme, so that linkedin.com/in/ada, as it is printed, would begin one of
that name, go on without an end, and never get to its slash."""

_TIME = re.compile(
    r"([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:\.\d+)?(?:z|([+-])([01]\d|2[0-3]):([0-5]\d))", re.ASCII | re.IGNORECASE
)
_DURATION = re.compile(
    r"P(?=\d|T\d)((\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?|\d+W)", re.ASCII
)  # RFC 3339, appendix A
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOSTNAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*", re.ASCII | re.IGNORECASE)
_POINTER = re.compile(r"(/([^~/]|~[01])*)*")
_RELATIVE_POINTER = re.compile(r"(0|[1-9][0-9]*)(#|(/([^~/]|~[01])*)*)")
_ATEXT = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_MAILBOX = re.compile(rf"""{_ATEXT}(\.{_ATEXT})*|"([ !#-\[\]-~]|\\[ -~])*\"""", re.ASCII | re.IGNORECASE)
_UNICODE = "\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef\U00010000-\U000efffd"  # ucschar of RFC 3987
_NAME = r"(?:\w|%[0-9a-f]{2})(?:\.?(?:\w|%[0-9a-f]{2}))*"
_VARIABLE = rf"{_NAME}(?:\*|:[1-9][0-9]{{0,3}})?"
_TEMPLATE = re.compile(
    rf"(?:[^\x00-\x20\x7f\"<>\\^`{{|}}%]|%[0-9a-f]{{2}}|\{{[+#./;?&]?{_VARIABLE}(?:,{_VARIABLE})*\}})*",
    re.ASCII | re.IGNORECASE,
)  # RFC 6570


def _resource(more: str, *, relative: bool) -> Callable[[str], bool]:
    """URI (RFC 3986) and IRI (RFC 3987), which has ``more`` characters."""
    first, name, userinfo, char = (
        rf"(?:[a-z0-9._~!$&'()*+,;={extra}{more}-]|%[0-9a-f]{{2}})" for extra in ("@", "", ":", ":@")
    )
    authority = rf"(?:{userinfo}*@)?(?:\[(?P<address>[0-9a-f:.]+)\]|{name}*)(?::\d*)?"
    tail = rf"(?:/{char}*)*"
    common = rf"//{authority}{tail}|/(?:{char}+{tail})?|"
    query = rf"(?:\?(?:{char}|[/?])*)?(?:\#(?:{char}|[/?])*)?"
    flags = re.ASCII | re.IGNORECASE
    absolute = re.compile(rf"[a-z][a-z0-9+.-]*:(?:{common}{char}+{tail}|){query}", flags)
    reference = re.compile(rf"(?:{common}{first}+{tail}|){query}", flags)

    def check(text: str) -> bool:
        found = absolute.fullmatch(text) or (reference.fullmatch(text) if relative else None)
        return found is not None and (found["address"] is None or bool(IPv6Address(found["address"])))

    return check


def exact_pattern(node: Mapping[str, Any], *, wide: bool) -> str | None:
    """A regular expression of the dates and times that exist, for a node whose only textual limit is such a format.

    None for other nodes. That of ``date-time`` lets leap seconds be written in UTC alone: no pattern for it where a
    ``wide`` plan must leave out no value.
    """
    name = node.get("format")
    if not isinstance(name, str) or name not in _EXACT or node.keys() & _LIMITS or (wide and name != "date"):
        return None
    return _EXACT[name]


def _date(text: str) -> bool:
    date.fromisoformat(text)  # which also reads weeks and dates without dashes
    return len(text) == 10 and text[4] == text[7] == "-"


def _time(text: str) -> bool:
    found = _TIME.fullmatch(text)
    if found is None:
        return False
    hours, minutes, seconds, sign, *offset = found.groups()
    if seconds != "60":
        return True
    ahead = timedelta(hours=int(offset[0] or 0), minutes=int(offset[1] or 0))
    utc = timedelta(hours=int(hours), minutes=int(minutes)) + (ahead if sign == "-" else -ahead)
    return utc % timedelta(days=1) == timedelta(hours=23, minutes=59)  # where leap seconds are


def _date_time(text: str) -> bool:
    return _date(text[:10]) and text[10:11] in {"T", "t"} and _time(text[11:])


def _address(kind: Callable[[str], object]) -> Callable[[str], bool]:
    return lambda text: "%" not in text and bool(kind(text))


def _regex(text: str) -> bool:
    return is_ecma(text) and searcher(text) is not None


def _uuid(text: str) -> bool:
    uuid.UUID(text)
    return len(text) == 36 and all(text[position] == "-" for position in (8, 13, 18, 23))


def _hostname(text: str) -> bool:
    import idna

    return _HOSTNAME.fullmatch(text) is not None and all(
        idna.ulabel(label) for label in text.split(".") if label[2:4] == "--"
    )


def _international_hostname(text: str) -> bool:
    import idna

    return bool(text) and _hostname(idna.encode(text, strict=True).decode())


def _mail(text: str) -> bool:
    mailbox, at, domain = text.rpartition("@")
    if not at or _MAILBOX.fullmatch(mailbox) is None:
        return False
    if domain.startswith("[") and domain.endswith("]"):
        literal = domain[1:-1]
        return bool(IPv6Address(literal[5:]) if literal.lower().startswith("ipv6:") else IPv4Address(literal))
    return _hostname(domain)


def _international_mail(text: str) -> bool:
    mailbox, at, domain = text.rpartition("@")
    ascii_mailbox = "".join(char if char.isascii() else "x" for char in mailbox)
    return bool(at) and _mail(f"{ascii_mailbox}@{domain if domain.isascii() else 'x'}") and bool(domain)


CHECKED: Mapping[str, Callable[[str], bool]] = {
    "date": _date,
    "date-time": _date_time,
    "duration": lambda text: _DURATION.fullmatch(text) is not None,
    "email": _mail,
    "hostname": _hostname,
    "idn-email": _international_mail,
    "idn-hostname": _international_hostname,
    "ipv4": _address(IPv4Address),
    "ipv6": _address(IPv6Address),
    "iri": _resource(_UNICODE, relative=False),
    "iri-reference": _resource(_UNICODE, relative=True),
    "json-pointer": lambda text: _POINTER.fullmatch(text) is not None,
    "regex": _regex,
    "relative-json-pointer": lambda text: _RELATIVE_POINTER.fullmatch(text) is not None,
    "time": _time,
    "uri": _resource("", relative=False),
    "uri-reference": _resource("", relative=True),
    "uri-template": lambda text: _TEMPLATE.fullmatch(text) is not None,
    "uuid": _uuid,
}


def format_checker() -> FormatChecker:
    """A jsonschema checker of exactly the formats of CHECKED."""
    from jsonschema import FormatChecker

    checker = FormatChecker(formats=())
    for name, check in CHECKED.items():
        checker.checks(name, raises=(ValueError, OverflowError))(_for_strings(check))
    return checker


def _for_strings(check: Callable[[str], bool]) -> Callable[[object], bool]:
    return lambda value: not isinstance(value, str) or check(value)
