"""Regular expressions are read as ECMA 262 has them, by an engine that is bounded in time."""

import pytest

from local_retab.errors import OutputValidationError
from local_retab.schema import patterns
from local_retab.schema.ecma import is_ecma, translate
from local_retab.schema.patterns import PatternTimeoutError, searcher
from local_retab.schema.validation import validate

CATASTROPHIC = "^(?!x)(a|aa)+$"


def found(pattern: str, text: str) -> bool:
    search = searcher(pattern)
    assert search is not None, pattern
    return search(text)


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        (r"^\d$", "1", "\u0661"),
        (r"^\D$", "\u0661", "1"),
        (r"^\w$", "_", "\u00e9"),
        (r"^\W$", "\u00e9", "_"),
        (r"^\s$", "\ufeff", "\u200b"),
        (r"^\S$", "\u200b", "\u2003"),
        (r"^[\d-]$", "-", "x"),
        (r"^[^\W_]$", "a", "_"),
        (r"^[\w-.]$", "-", "/"),
        (r"^[a-]$", "-", "b"),
        (r"^[[a]$", "[", "]"),
        (r"^[&&]$", "&", "a"),
        (r"^[+--]$", ",", "*"),
        (r"^a{$", "a{", "a"),
        (r"^a{2}$", "aa", "a{2}"),
        (r"^{a}]$", "{a}]", "a"),
        (r"^.$", "\u0085", "\u2028"),
        (r"^[^]$", "\n", ""),
        (r"^(a|[])$", "a", "b"),
        (r"^\cC$", "\x03", "C"),
        (r"^\x41\u0042$", "AB", "x41"),
        (r"^\uD83D\uDE00$", "\U0001f600", "\ud83d"),
        (r"^\u{1F600}$", "\U0001f600", "u"),
        (r"^\/\-\@$", "/-@", "a"),
        (r"^\p{Letter}\P{L}$", "\u00e91", "11"),
        (r"\bx\b", "a x b", "axb"),
        (r"^[\b]$", "\b", "b"),
        (r"^a$", "a", "a\n"),
        (r"^(?!ab)a", "ac", "abc"),
        (r"^(?!ab)a$", "a", "a\n"),
        (r"^(.)\1$", "aa", "ab"),
        (r"^(?<n>a)\k<n>$", "aa", "ab"),
        (r"^(?<=^)a\b$", "a", "b"),
    ],
)
def test_patterns(pattern: str, matching: str, other: str) -> None:
    assert found(pattern, matching)
    assert not found(pattern, other)


@pytest.mark.parametrize("pattern", ["[", "(", "a\\", "[a", "(?<!", "*"])
def test_what_no_engine_reads(pattern: str) -> None:
    assert searcher(pattern) is None


def test_what_needs_no_translation_stays() -> None:
    assert translate("^([a-c]+|x*)?y{1,3}$") == "^([a-c]+|x*)?y{1,3}$"


@pytest.mark.parametrize("pattern", [r"\Z", r"a\a", "(?i)a", "(?P<n>a)", r"\\\Z"])
def test_other_dialects(pattern: str) -> None:
    assert not is_ecma(pattern)


@pytest.mark.parametrize("pattern", [r"\d\\Z", r"(?:a)(?<n>b)(?=c)", r"\cA\u0041\p{L}\.\/"])
def test_its_own_dialect(pattern: str) -> None:
    assert is_ecma(pattern)


def test_a_pattern_that_backtracks_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "MAX_SECONDS", 0.02)
    hostile = "a" * 60 + "!"
    with pytest.raises(PatternTimeoutError, match=r"took longer than 0\.02 s"):
        found(CATASTROPHIC, hostile)
    for schema, value in (
        ({"pattern": CATASTROPHIC}, hostile),
        ({"patternProperties": {CATASTROPHIC: {}}, "additionalProperties": False}, {hostile: 1}),
        ({"propertyNames": {"pattern": CATASTROPHIC}}, {hostile: 1}),
        ({"patternProperties": {CATASTROPHIC: {}}, "unevaluatedProperties": False}, {hostile: 1}),
    ):
        with pytest.raises(OutputValidationError, match="took longer"):
            validate(value, schema)


def test_nested_repetition_without_lookaround_takes_linear_time() -> None:
    assert not found("^(a+)+$", "a" * 100_000 + "!")
