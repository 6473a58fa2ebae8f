"""URIs that the grammar holds to schemes in use, in the first attempts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer

from local_retab.schema import SchemaPlan, load_schema, plan_schema
from local_retab.schema.formats import USUAL_URI
from local_retab.schema.style import SEPARATORS
from local_retab.settings import Settings

BYTES = LLTokenizer("byte")
USUAL = [
    "https://linkedin.com/in/ada",
    "http://a.b:8080/c(d)?e=f&g=%20#h?",
    "ftp://files.example.org",
    "mailto:ada@example.com",
    "tel:+44-20-7946-0000",
    "file:///home/ada/a.txt",
    "urn:isbn:0451450523",
]


def plan(*, wide: bool = False, **limits: Any) -> SchemaPlan:
    settings = Settings()
    node = {"type": "string", "format": "uri", **limits}
    made = plan_schema(
        load_schema({"properties": {"at": node}, "required": ["at"]}, settings=settings), settings=settings
    )
    return made.widened(settings=settings) if wide else made


def written(made: SchemaPlan, text: str) -> int:
    """How many characters of a text may be written; one more where it may end there."""
    matcher = LLMatcher(BYTES, made.grammar, log_level=0)
    head = '{"at":"'
    data = list(json.dumps({"at": text}, separators=SEPARATORS).encode())
    return int(matcher.try_consume_tokens(data)) - len(head)


@pytest.mark.parametrize("limits", [{}, {"minLength": 1, "maxLength": 2083}, {"type": ["string", "null"]}])
@pytest.mark.parametrize("text", USUAL)
def test_usual_ones_can_be_written_and_are_valid(text: str, limits: dict[str, Any]) -> None:
    made = plan(**limits)
    assert written(made, text) == len(text) + len('"}')
    made.validate({"at": text})


@pytest.mark.parametrize("text", ["linkedin.com/in/ada", "www.example.com", "x-app://open", "Ada"])
def test_what_is_no_usual_scheme_is_not_begun(text: str) -> None:
    assert written(plan(), text) < 2


def test_the_last_attempt_leaves_none_out() -> None:
    assert written(plan(wide=True), "x-app://open") == len('x-app://open"}')


def test_a_pattern_beside_it_counts_alone() -> None:
    made = plan(pattern="^x-app:")
    assert USUAL_URI not in made.grammar
    assert written(made, "x-app:1") == len('x-app:1"}')
