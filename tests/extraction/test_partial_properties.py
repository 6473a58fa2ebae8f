"""The incremental JSON machine against json.loads, and against a slow reader of prefixes, on any input."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from local_retab.extraction.partial import MISSING, PartialJson, PartialJsonError, extends
from local_retab.schema.shape import OPEN, Shape, project

# --- the reference: a recursive reader of a prefix of valid JSON ---

STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
SCALAR = re.compile(r"true|false|null|[-+.0-9eE]+(?=[^-+.0-9eE])")
SURROGATE = re.compile("[\ud800-\udfff]")
LOW_ESCAPES = [f"\\u{code:04x}" for code in range(0xDC00, 0xE000)]


def clean(value: Any) -> Any:
    """The value with U+FFFD for unpaired surrogates."""
    if isinstance(value, str):
        return SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    return value


def begun_string(text: str) -> str:
    """What is certain of a string that is cut off: the longest part that no continuation can change."""
    for end in range(len(text), 0, -1):
        try:
            value = json.loads(text[:end] + '"')
        except ValueError:
            continue
        high = "\ud800" <= value[-1:] <= "\udbff"
        if not (high and any(low.startswith(text[end:].lower()) for low in LOW_ESCAPES)):
            return str(clean(value))
    raise AssertionError(text)


def skip(text: str, at: int, chars: str = " \t\n\r") -> int:
    while at < len(text) and text[at] in chars:
        at += 1
    return at


def read(text: str, at: int, shape: Shape) -> tuple[Any, int | None]:
    """The visible part of the value at ``at``, and where it ends; None where the text ends first."""
    at = skip(text, at)
    rest = text[at:]
    if rest.startswith('"'):
        if found := STRING.match(rest):
            return clean(json.loads(found[0])), at + found.end()
        return (MISSING if shape.atomic else begun_string(rest)), None
    if rest.startswith("["):
        return read_array(text, at + 1, shape)
    if rest.startswith("{"):
        return read_object(text, at + 1, shape)
    if found := SCALAR.match(rest):
        return json.loads(found[0]), at + found.end()
    return MISSING, None


def read_array(text: str, at: int | None, shape: Shape) -> tuple[Any, int | None]:
    """Texts and nulls that the array has already are shown with what comes after them, or at its end."""
    items: list[Any] = []
    held: list[Any] = []
    while at is not None:
        at = skip(text, at, " \t\n\r,")
        if at == len(text):
            return items, None
        if text[at] == "]":
            return items + held, at + 1
        value, at = read(text, at, shape.child(len(items + held)))
        known = [item for item in items if isinstance(item, str) or item is None]
        begun = at is None and isinstance(value, str)
        if at is not None and value in known and isinstance(value, str | None):
            held.append(value)
        elif value is not MISSING and not (
            begun and (held or any(item is not None and item.startswith(value) for item in known))
        ):
            items += [*held, value]
            held = []
    return items, None


def read_object(text: str, at: int | None, shape: Shape) -> tuple[Any, int | None]:
    members: dict[str, Any] = {}
    while at is not None:
        at = skip(text, at, " \t\n\r,")
        if text[at:].startswith("}"):
            return members, at + 1
        found = STRING.match(text, at)
        if not found:
            return members, None
        key = clean(json.loads(found[0]))
        value, at = read(text, skip(text, found.end(), " \t\n\r:"), shape.child(key))
        absent = value is None and key in shape.droppable
        if value is not MISSING and key not in shape.hidden and not absent:
            members[key] = value
    return members, None


def visible(prefix: bytes, shape: Shape) -> Any:
    return read(prefix.decode(errors="ignore"), 0, shape)[0]


def same(a: Any, b: Any) -> bool:
    """Equal, with types and the order of keys."""
    return a is b if MISSING in (a, b) else json.dumps(a) == json.dumps(b)


# --- inputs ---

keys = st.sampled_from(["a", "b", "c"]) | st.sampled_from(["", "é", 'q"\\']) | st.text(max_size=4)
strings = st.text(max_size=12) | st.text(alphabet='ab"\\/\n\u2028é😀\x00\x7f', max_size=12)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | strings
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=10,
)
HIDES_B = Shape(hidden=frozenset("b"))
key_sets = st.frozensets(st.sampled_from(["a", "b", "c", "", "é"]), max_size=2)
shapes = st.recursive(
    st.builds(Shape, hidden=key_sets, droppable=key_sets, atomic=st.booleans()),
    lambda inner: st.builds(
        Shape,
        properties=st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
        additional=st.none() | inner,
        items=st.none() | inner,
        prefix_items=st.lists(inner, max_size=2).map(tuple),
        hidden=key_sets,
        droppable=key_sets,
        atomic=st.booleans(),
    ),
    max_leaves=6,
)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """A JSON value in one of the ways of writing it."""
    text = json.dumps(
        draw(values),
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, 0, 2, "\t"])),
        separators=draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\r\n", "\t: ")])),
    )
    space = st.text(alphabet=" \t\r\n", max_size=2)
    return (draw(space) + text + draw(space)).encode()


escapes = [
    "\\ud83d",
    "\\uD83D",
    "\\ude00",
    "\\uDE00",
    "\\ud7ff",
    "\\ue000",
    "\\n",
    "\\/",
    "\\\\",
    '\\"',
    "\\u00e9",
]
written_strings = st.lists(st.sampled_from([*escapes, "a", "u", "d83d", "é", "😀"]), max_size=6).map(
    lambda parts: f'"{"".join(parts)}"'.encode()
)
numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


# --- properties ---


def check_stream(chunks: list[bytes], shape: Shape) -> None:
    """Every snapshot is the reference's, extends all before it, and is never changed afterwards."""
    machine, fed = PartialJson(shape), b""
    shown: list[tuple[Any, Any]] = [(MISSING, MISSING)]
    for chunk in chunks:
        fed += chunk
        changed = machine.feed(chunk)
        snapshot = machine.snapshot()
        assert same(snapshot, visible(fed, shape)), fed
        before = shown[-1][0]
        assert changed is not same(snapshot, before), fed
        assert extends(snapshot, before), fed
        shown.append((snapshot, MISSING if snapshot is MISSING else json.dumps(snapshot)))
    final = machine.flush()
    assert same(final, project(clean(json.loads(fed.decode())), shape))
    assert same(final, machine.snapshot())
    assert all(extends(final, snapshot) for snapshot, _ in shown)
    assert all(same(snapshot, MISSING) or json.dumps(snapshot) == text for snapshot, text in shown)


@settings(deadline=None, max_examples=150)
@given(documents() | written_strings, shapes)
@example(b'{"b": {"a": 1}, "a": "x"}', Shape(hidden=frozenset("b"), properties={"a": Shape(atomic=True)}))
@example(b'{"a": {"b": 1}, "c": [{"b": []}]}', Shape(properties={"a": HIDES_B, "c": Shape(items=HIDES_B)}))
def test_every_prefix_shows_what_the_reference_shows(document: bytes, shape: Shape) -> None:
    check_stream([document[i : i + 1] for i in range(len(document))], shape)


@settings(deadline=None, max_examples=80)
@given(documents() | written_strings, shapes)
def test_every_split_in_two(document: bytes, shape: Shape) -> None:
    for cut in range(len(document) + 1):
        check_stream([document[:cut], document[cut:]], shape)


@settings(deadline=None, max_examples=150)
@given(documents() | written_strings, shapes, st.lists(st.integers(0, 1000), max_size=8))
def test_any_chunks(document: bytes, shape: Shape, cuts: list[int]) -> None:
    check_stream(pieces(document, cuts), shape)


@settings(deadline=None)
@given(numbers)
@example("-0")
@example("-0.0")
@example("1E5")
@example("1e-999")
@example("1" + "0" * 300 + "e-300")
@example("7" * 4300)
def test_numbers_are_those_of_json_loads(text: str) -> None:
    check_stream([text.encode()], OPEN)
    check_stream([f"[{text}".encode(), b"]"], OPEN)


def refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = {clean(key): value for key, value in pairs}
    if len(members) < len(pairs):
        raise ValueError("a key comes twice")
    return members


def refuse_infinity(text: str) -> float:
    if float(text) in (float("inf"), float("-inf")):
        raise ValueError("not a JSON number")
    return float(text)


def refuse_constant(text: str) -> None:
    raise ValueError(text)


def outcome(text: str) -> Any:
    """What json.loads makes of the text under the rules of this module; MISSING where it refuses."""
    try:
        return clean(
            json.loads(
                text,
                object_pairs_hook=refuse_repeats,
                parse_float=refuse_infinity,
                parse_constant=refuse_constant,
            )
        )
    except ValueError:
        return MISSING


def check_acceptance(data: bytes, cuts: list[int]) -> None:
    try:
        expected = outcome(data.decode())
    except UnicodeDecodeError:
        expected = MISSING
    machine = PartialJson(OPEN)
    last: Any = MISSING
    try:
        for chunk in pieces(data, cuts):
            machine.feed(chunk)
            last = machine.snapshot()
        final: Any = machine.flush()
    except PartialJsonError:
        final = MISSING
        assert extends(machine.snapshot(), last)
    assert same(final, expected)


cut_lists = st.lists(st.integers(0, 1000), max_size=4)


@settings(deadline=None, max_examples=300)
@given(documents() | written_strings, st.data(), cut_lists)
def test_mutated_text_is_accepted_exactly_when_json_loads_accepts_it(
    document: bytes, data: st.DataObject, cuts: list[int]
) -> None:
    at = data.draw(st.integers(0, len(document)))
    removed = data.draw(st.integers(0, 2))
    inserted = data.draw(
        st.sampled_from([*b'{}[],:"\\-+.0eEtu\x00\n ']).map(lambda code: bytes([code])) | st.binary(max_size=2)
    )
    check_acceptance(document[:at] + inserted + document[at + removed :], cuts)


words = [
    *'{}[],:"\\-. \x01é',
    '"a"',
    '"b"',
    '{"a":',
    "0",
    "1",
    "12",
    "1e5",
    "1e999",
    ".5",
    "tru",
    "true",
    "null",
    "nul",
    "NaN",
]


@settings(deadline=None, max_examples=400)
@given(
    st.lists(st.sampled_from([*words, "Infinity", "\\u12", "\\ud800", "\ufeff"]), max_size=8).map("".join),
    cut_lists,
)
@example('{"a":1,"a":2}', [])
@example("truefalse", [2])
@example("[1,]", [])
@example('{"a":1,}', [])
@example("[,1]", [])
@example('"\\x"', [])
@example("\ufeff1", [])
def test_random_words_are_accepted_exactly_when_json_loads_accepts_them(text: str, cuts: list[int]) -> None:
    check_acceptance(text.encode(), cuts)
