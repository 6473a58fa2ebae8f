"""Regular expressions of schemas, matched as ECMA 262 asks: anywhere in the text.

Rust's engine first, as it takes linear time. Only where it cannot, for lookaround and back references, one that
backtracks: the ``regex`` module's, because it stops at a time limit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from local_retab.schema.ecma import translate

MAX_SECONDS = 1.0  # of one match that may backtrack


class PatternTimeoutError(ValueError):
    """A match took longer than MAX_SECONDS. Internal: validation turns it into a problem of the value."""


@lru_cache(maxsize=4096)
def searcher(pattern: str) -> Callable[[str], bool] | None:
    """A function that says whether the pattern occurs in a text; None when neither engine can read the pattern.

    The function raises PatternTimeoutError.
    """
    from pydantic_core import SchemaError, SchemaValidator, core_schema

    rust = translate(pattern)
    try:
        linear = SchemaValidator(core_schema.str_schema(pattern=rust, regex_engine="rust-regex", strict=True))
    except SchemaError:
        return _backtracking(pattern)
    return linear.isinstance_python


def _backtracking(pattern: str) -> Callable[[str], bool] | None:
    import regex

    try:
        compiled = regex.compile(translate(pattern, boundary=r"\b", end=r"\Z"), regex.VERSION0 | regex.ASCII)
    except (regex.error, RecursionError, OverflowError, ValueError):
        return None

    def search(text: str) -> bool:
        try:
            return compiled.search(text, timeout=MAX_SECONDS) is not None
        except TimeoutError as error:
            reason = f"matching {pattern[:100]!r} took longer than {MAX_SECONDS:g} s"
            raise PatternTimeoutError(reason) from error

    return search
