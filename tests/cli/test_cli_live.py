"""The partial object as lines of a terminal."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from local_retab.cli.live import LiveView, render_partial

INVOICE: dict[str, Any] = {
    "number": "INV-1",
    "seller": {"name": "Acme", "vat": None},
    "lines": [{"code": f"C{n}", "amount": n, "paid": True} for n in range(1, 31)],
    "note": "half a sen",
}


def rendered(output: Any, *, width: int = 60, height: int = 24, writing: bool = False) -> list[str]:
    return render_partial(output, width=width, height=height, writing=writing).plain.split("\n")


def test_keys_in_order_objects_indented_arrays_counted() -> None:
    output = {"b": 1, "a": {"x": "y", "z": None}, "flags": [True, False], "none": [], "empty": {}}
    assert rendered(output) == [
        "b: 1",
        "a: ",
        '  x: "y"',
        "  z: null",
        "flags: 2 items",
        "  1. true",
        "  2. false",
        "none: 0 items",
        "empty: {}",
    ]


def test_plain_objects_in_an_array_are_a_table() -> None:
    output = {"lines": [{"code": "A", "amount": 1}, {"code": "Blue", "amount": 20.5}, {"code": "C"}]}
    assert rendered(output) == [
        "lines: 3 items",
        "  code    amount",
        '  "A"          1',
        '  "Blue"    20.5',
        '  "C"           ',
    ]


def test_objects_with_objects_in_an_array_are_blocks() -> None:
    assert rendered([{"a": {"b": 1}}, {"a": {"b": 2}}]) == [
        "2 items", "  1. ", "    a: ", "      b: 1", "  2. ", "    a: ", "      b: 2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("output", "last"),
    [
        ({"a": "do", "b": "half a"}, 'b: "half a▌'),
        ({"a": 1}, "a: 1▌"),
        ({"a": ["x", "y"]}, '  2. "y▌'),
        ({"a": [{"x": 1, "y": "p"}]}, '  1  "p▌'),
    ],
)
def test_the_cursor_follows_the_value_that_comes_in(output: Any, last: str) -> None:
    lines = rendered(output, writing=True)
    assert lines[-1] == last
    assert "".join(lines).count("▌") == 1
    assert "▌" not in "".join(rendered(output))


def test_long_arrays_keep_their_tail_and_count_the_rest() -> None:
    lines = rendered(INVOICE, height=16, writing=True)
    assert len(lines) == 16
    assert lines[:7] == [
        'number: "INV-1"',
        "seller: ",
        '  name: "Acme"',
        "  vat: null",
        "lines: 30 items",
        "  code   amount  paid",
        "  … 22 more",
    ]
    assert lines[7].split() == ['"C23"', "23", "true"]
    assert lines[-1] == 'note: "half a sen▌'


def test_what_is_too_tall_without_arrays_keeps_its_tail() -> None:
    assert rendered({f"k{n}": n for n in range(100)}, height=4) == ["… 97 more lines", "k97: 97", "k98: 98", "k99: 99"]


def test_long_values_are_cut_to_the_width() -> None:
    (line,) = rendered({"a": "word " * 100}, width=20)
    assert line == 'a: "word word word …'


def test_document_text_cannot_command_the_terminal() -> None:
    text = "\n".join(rendered({"a\x1b[2J": "x\x1b[31m\x9b1m\r\u202eb\x7f\ny", "t": [{"\x07": "\x1b"}]}, width=200))
    assert text.replace("\n", "").isprintable()
    assert r"\u001b[31m\u009b1m \u202eb\u007f y" in text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=40,
)


@given(json_values, st.integers(1, 90), st.integers(1, 30), st.booleans())
def test_the_view_never_leaves_its_rectangle(output: Any, width: int, height: int, writing: bool) -> None:
    lines = rendered(output, width=width, height=height, writing=writing)
    assert len(lines) <= height
    assert all(cell_len(line) <= width for line in lines)
    assert all(line.isprintable() for line in lines)


@given(json_values)
def test_with_room_enough_every_scalar_is_shown(output: Any) -> None:
    def scalars(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [text for child in value.values() for text in scalars(child)]
        if isinstance(value, list):
            return [text for child in value for text in scalars(child)]
        return [] if isinstance(value, str) else [json.dumps(value)]

    text = "\n".join(rendered(output, width=10_000, height=10_000))
    assert all(scalar in text for scalar in scalars(output))


def test_a_frame_has_the_status_and_fits_the_terminal() -> None:
    view = LiveView(None, "model", with_output=True)
    view.enter("loading the model")
    console = Console(record=True, width=50, height=12, file=io.StringIO())
    console.print(view.frame(1.25, width=50, height=12))
    assert console.export_text() == "⠹ model · loading the model · 1.2 s\n"
    view.show(INVOICE, complete=False)
    console.print(view.frame(2.0, width=50, height=12))
    lines = console.export_text().splitlines()
    assert lines[0] == "⠋ model · writing · 2.0 s"
    assert len(lines) == 11
    assert lines[-1] == 'note: "half a sen▌'
    view.show(INVOICE, complete=True)
    console.print(view.frame(3.0, width=50, height=12))
    lines = console.export_text().splitlines()
    assert lines[0] == "⠋ model · done · 3.0 s"
    assert lines[-1] == 'note: "half a sen"'
