"""The rules of the incremental JSON machine, one by one."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from local_retab.extraction.partial import MISSING, PartialJson, PartialJsonError, extends
from local_retab.extraction.spine import MAX_DEPTH
from local_retab.schema.shape import OPEN, Shape

SHAPE = Shape(
    properties={"kind": Shape(atomic=True), "lines": Shape(items=Shape(hidden=frozenset({"source___sku"})))},
    hidden=frozenset({"_root"}),
    droppable=frozenset({"note"}),
)


@pytest.mark.parametrize(
    ("prefix", "snapshot", "path"),
    [
        ("", MISSING, ""),
        ("{", {}, ""),
        ('{"_root', {}, ""),
        ('{"_root": "I thi', {}, ""),
        ('{"_root": {"x": [1, ', {}, ""),
        ('{"total"', {}, "/total"),
        ('{"total": ', {}, "/total"),
        ('{"total": 12', {}, "/total"),
        ('{"total": 12 ', {"total": 12}, ""),
        ('{"total": 12,', {"total": 12}, ""),
        ('{"ok": tru', {}, "/ok"),
        ('{"ok": true', {"ok": True}, ""),
        ('{"name": "', {"name": ""}, "/name"),
        ('{"name": "Ac', {"name": "Ac"}, "/name"),
        ('{"name": "Ac\\', {"name": "Ac"}, "/name"),
        ('{"name": "Ac\\ud83d', {"name": "Ac"}, "/name"),
        ('{"name": "Ac\\ud83d\\ude', {"name": "Ac"}, "/name"),
        ('{"name": "Ac\\ud83d\\ude00', {"name": "Ac😀"}, "/name"),
        ('{"name": "Ac\\ud83d.', {"name": "Ac\ufffd."}, "/name"),
        ('{"kind": "invo', {}, "/kind"),
        ('{"kind": "invoice"', {"kind": "invoice"}, ""),
        ('{"note": null', {}, ""),
        ('{"note": null, "other": null', {"other": None}, ""),
        ('{"lines": [', {"lines": []}, "/lines"),
        ('{"lines": [{', {"lines": [{}]}, "/lines/0"),
        ('{"lines": [{"source___sku": "p', {"lines": [{}]}, "/lines/0"),
        ('{"lines": [{"sku": 1}', {"lines": [{"sku": 1}]}, "/lines"),
        ('{"lines": [{"sku": 1},', {"lines": [{"sku": 1}]}, "/lines/1"),
        ('{"lines": [{"sku": 1}]', {"lines": [{"sku": 1}]}, ""),
        ('{"a/b~c": [[', {"a/b~c": [[]]}, "/a~1b~0c/0"),
        ('"text', "text", ""),
        ("12", MISSING, ""),
    ],
)
def test_snapshot_and_path(prefix: str, snapshot: Any, path: str) -> None:
    machine = PartialJson(SHAPE)
    machine.feed(prefix.encode())
    assert machine.snapshot() == snapshot
    assert machine.path() == path


def test_half_a_character_is_not_shown() -> None:
    machine = PartialJson(OPEN)
    assert machine.feed(b'"\xf0\x9f')
    assert not machine.feed(b"\x98")
    assert machine.snapshot() == ""
    assert machine.feed(b"\x80")
    assert machine.snapshot() == "😀"


def test_complete_containers_are_shared_and_open_ones_are_not() -> None:
    machine = PartialJson(OPEN)
    machine.feed(b'{"done": [1, 2], "open": [{"x": 1}, ')
    first: Any = machine.snapshot()
    machine.feed(b"3]}")
    final: Any = machine.flush()
    assert first == {"done": [1, 2], "open": [{"x": 1}]}
    assert first["done"] is final["done"]
    assert first["open"][0] is final["open"][0]
    assert first["open"] is not final["open"]


def test_a_visible_key_may_not_come_twice() -> None:
    machine = PartialJson(OPEN)
    machine.feed(b'{"a": [1], "b": 2, ')
    with pytest.raises(PartialJsonError, match="'a' twice"):
        machine.feed(b'"a":')
    assert machine.snapshot() == {"a": [1], "b": 2}


def test_a_key_that_is_not_visible_may_come_twice() -> None:
    machine = PartialJson(Shape(hidden=frozenset("h"), droppable=frozenset("d")))
    machine.feed(b'{"h": {"x": 1, "x": 2}, "d": null, "h": 1, "d": 3}')
    assert machine.flush() == {"d": 3}


def test_depth_limit() -> None:
    machine = PartialJson(OPEN)
    machine.feed(b"[" * MAX_DEPTH)
    machine.feed(b"]" * MAX_DEPTH)
    assert extends(machine.flush(), [[[]]])
    with pytest.raises(PartialJsonError, match=f"deeper than {MAX_DEPTH} levels"):
        PartialJson(OPEN).feed(b'{"a":' * MAX_DEPTH + b"[")


@pytest.mark.parametrize("code", range(0x20))
def test_control_characters_must_be_escaped(code: int) -> None:
    with pytest.raises(PartialJsonError, match="control character"):
        PartialJson(OPEN).feed(b'"' + bytes([code]))


@pytest.mark.parametrize("text", ["01", "1.", "-", "--1", "1e", "1e+", "1.e5", "1-", "0x1", "1_0", "1e999", "-1e999"])
def test_bad_numbers(text: str) -> None:
    machine = PartialJson(OPEN)
    with pytest.raises(PartialJsonError):
        machine.feed(f"[{text}]".encode())


def test_integers_beyond_the_digits_that_python_reads() -> None:
    machine = PartialJson(OPEN)
    machine.feed(b"9" * (sys.get_int_max_str_digits() + 1))
    with pytest.raises(PartialJsonError):
        machine.flush()
    assert machine.snapshot() is MISSING


@pytest.mark.parametrize("text", ["", " ", "{", '{"a"', '{"a": 1', "[1,", '"a', '"\\', "tru", "1 \udcc3", "-"])
def test_flush_refuses_what_is_incomplete(text: str) -> None:
    machine = PartialJson(OPEN)
    machine.feed(text.encode(errors="surrogateescape"))
    with pytest.raises(PartialJsonError):
        machine.flush()


@pytest.mark.parametrize("data", [b'{"a": 1, x', b'{"a": 1, "\xff', b'{"a": 1}}', b'{"a": 1} 2', b'{"a": 1, "b": "\n'])
def test_after_an_error_the_machine_keeps_its_snapshot_and_refuses(data: bytes) -> None:
    machine = PartialJson(Shape(properties={"b": Shape(atomic=True)}))
    machine.feed(data[:8])
    with pytest.raises(PartialJsonError):
        machine.feed(data[8:])
    assert machine.snapshot() == {"a": 1}
    with pytest.raises(PartialJsonError):
        machine.feed(b" ")
    with pytest.raises(PartialJsonError):
        machine.flush()


def test_the_error_names_the_place() -> None:
    machine = PartialJson(OPEN)
    with pytest.raises(PartialJsonError, match="at '/items/1/sku': a value is due"):
        machine.feed(b'{"items": [{}, {"sku": ]')


def test_flush_may_be_repeated() -> None:
    machine = PartialJson(OPEN)
    machine.feed(b"12")
    assert machine.flush() == 12
    assert machine.flush() == 12


# --- the order of snapshots ---


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (None, MISSING),
        ("abc", "ab"),
        ([1], []),
        ([1, "ab", 3], [1, "a"]),
        ([{"a": [1]}], [{}]),
        ({"a": "xy", "b": 1}, {"a": "x"}),
        ({"c": 0, "a": 1, "d": 0, "b": 2}, {"a": 1, "b": 2}),
        (1, 1),
    ],
)
def test_extends(new: Any, old: Any) -> None:
    assert extends(new, old)
    assert extends(new, new)
    assert new == old or not extends(old, new)


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (MISSING, None),
        ("ab", "b"),
        ([1], [1, 2]),
        (["ab", 1], ["a", 1]),
        ([1.0, 2], [1, 2]),
        ([], {}),
        ({}, []),
        ({"b": 1, "a": 1}, {"a": 1, "b": 1}),
        ({"a": 1}, {"a": 1, "b": 1}),
        ({"a": 12}, {"a": 1}),
        (1, True),
        (1.0, 1),
        ("", None),
    ],
)
def test_does_not_extend(new: Any, old: Any) -> None:
    assert not extends(new, old)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer", "1", 1),
        ("integer", "-20", -20),
        ("integer", "1.5", "1.5"),
        ("integer", "007", "007"),
        ("integer", "DNS", "DNS"),
        ("integer", "1st", "1st"),
        ("integer", "", ""),
        ("integer", "12345678901234567", "12345678901234567"),
        ("number", "1.5", 1.5),
        ("number", "1.50", "1.50"),
        ("number", "1e5", "1e5"),
        ("number", "-", "-"),
        ("", "1", "1"),
    ],
)
def test_a_text_that_is_a_number_is_one_where_the_schema_has_numbers_too(kind: str, text: str, value: Any) -> None:
    machine = PartialJson(Shape(properties={"rank": Shape(number=kind)}))
    shown: Any = MISSING
    for char in json.dumps({"rank": text}):
        machine.feed(char.encode())
        assert extends(machine.snapshot(), shown)
        shown = machine.snapshot()
    assert json.dumps(machine.flush()) == json.dumps({"rank": value})


def test_a_text_that_the_schema_lists_stays_one() -> None:
    machine = PartialJson(Shape(number="integer", listed=True, atomic=True))
    machine.feed(b'"1"')
    assert machine.flush() == "1"


def test_a_circle_in_what_is_hidden_is_not_told() -> None:
    machine = PartialJson(SHAPE)
    machine.feed(b'{"_root":["x","x"')
    machine.feed(b"]", circular=True)
    machine.feed(b',"lines":["y","y"')
    machine.feed(b"]", circular=True)
    machine.feed(b"}")
    assert machine.flush() == {"lines": ["y"]}
    assert machine.circles == ["/lines"]
