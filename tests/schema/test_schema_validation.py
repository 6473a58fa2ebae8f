"""The finished value against the caller's own schema."""

from typing import Any

import pytest

from local_retab.errors import OutputValidationError
from local_retab.schema.formats import CHECKED, HELD, format_checker
from local_retab.schema.grammar import refusal
from local_retab.schema.patterns import searcher
from local_retab.schema.validation import MAX_PROBLEMS, validate

NESTED: list[Any] = []
for _ in range(5000):
    NESTED = [NESTED]


def test_the_error_has_every_problem() -> None:
    schema = {"properties": {"a/b": {"items": {"type": "integer"}}, "c": {"maxLength": 1}}}
    with pytest.raises(OutputValidationError) as caught:
        validate({"a/b": [1, "x"], "c": "long"}, schema)
    problems = caught.value.details["problems"]
    assert [(p["path"], p["keyword"]) for p in problems] == [("/a~1b/1", "type"), ("/c", "maxLength")]
    assert "/a~1b/1" in caught.value.message


def test_problems_are_bounded() -> None:
    with pytest.raises(OutputValidationError) as caught:
        validate(["x" * 5000] * 100, {"items": {"maxLength": 3}})
    problems = caught.value.details["problems"]
    assert len(problems) == MAX_PROBLEMS
    assert all(len(problem["reason"]) <= 300 for problem in problems)


@pytest.mark.parametrize(
    "schema",
    [{"$ref": "#/$defs/l", "$defs": {"l": {"items": {"$ref": "#/$defs/l"}}}}, {"not": {"$ref": "#/not"}}],
)
def test_endless_recursion_fails_closed(schema: dict[str, Any]) -> None:
    with pytest.raises(OutputValidationError, match="too deeply"):
        validate(NESTED, schema)


def test_a_number_beyond_floating_point_is_refused() -> None:
    with pytest.raises(OutputValidationError, match="too large"):
        validate({"a": float("inf")}, {"type": "object"})


@pytest.mark.parametrize(
    ("schema", "value", "valid"),
    [
        ({"type": "string", "nullable": True}, None, True),
        ({"enum": ["a"], "nullable": True}, None, True),
        ({"type": "string", "nullable": False}, None, False),
        ({"type": "string", "nullable": True}, 3, False),
        ({"properties": {"nullable": {"type": "boolean"}}}, {"nullable": True}, True),
        ({"dependencies": {"a": ["b"]}}, {"a": 1}, False),
        ({"pattern": "^\\p{Lu}$"}, "É", True),
        ({"pattern": "^\\p{Lu}$"}, "é", False),
        ({"pattern": "^a$"}, "a\n", False),
        ({"pattern": "^(?!x)"}, "x", False),
        ({"pattern": "^(?!x)"}, "y", True),
        ({"pattern": "^a"}, 5, True),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "const": 1}, 2, True),
        ({"minimum": 1, "exclusiveMinimum": True}, 1, False),
    ],
)
def test_dialects_and_extensions(schema: dict[str, Any], value: Any, valid: bool) -> None:
    if valid:
        validate(value, schema)
    else:
        with pytest.raises(OutputValidationError):
            validate(value, schema)


def test_a_hostile_pattern_is_matched_in_linear_time() -> None:
    search = searcher("^(a+)+$")
    assert search is not None
    assert not search("a" * 5000 + "b")


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date", ["2024-02-29"], ["2023-02-29", "2024-W09-4", "20240229", "2024-2-9"]),
        (
            "date-time",
            ["2024-02-29T23:59:60Z", "2024-01-01t00:00:00.5+02:00"],
            ["2024-01-01T00:00:00", "2024-01-01"],
        ),
        ("time", ["10:00:00Z", "10:00:00.25-05:30"], ["10:00:00", "24:00:00Z", "10:00Z"]),
        ("duration", ["P1DT2H", "P3W", "PT5M"], ["P", "P1DT", "1D", "P1W2D"]),
        ("email", ["a@b.c"], ["a", "@b", "a@"]),
        ("idn-email", ["é@ü.c"], ["é"]),
        ("hostname", ["a.example", "x"], ["-a", "a..b", "a_b", "a." * 200 + "a"]),
        ("ipv4", ["1.2.3.4"], ["1.2.3", "01.2.3.4", "256.1.1.1"]),
        ("ipv6", ["::1", "fe80::1"], ["::1%eth0", "1::2::3"]),
        ("json-pointer", ["", "/a~1b/0"], ["a", "/~2"]),
        ("regex", ["a+"], ["("]),
        ("uri", ["https://a.b/c?d#e", "mailto:a@b"], ["/a", "a b:c"]),
        ("uuid", ["2eb8aa08-aa98-11ea-b4aa-73b441d16380"], ["2eb8aa08aa9811eab4aa73b441d16380", "x"]),
    ],
)
def test_formats(name: str, good: list[str], bad: list[str]) -> None:
    checker = format_checker()
    assert [text for text in good if not checker.conforms(text, name)] == []
    assert [text for text in bad if checker.conforms(text, name)] == []
    assert checker.conforms(5, name)


def test_every_held_format_is_held_and_checked() -> None:
    assert CHECKED.keys() >= HELD
    assert [name for name in sorted(HELD) if refusal(f'{{"type": "string", "format": "{name}"}}')] == []
