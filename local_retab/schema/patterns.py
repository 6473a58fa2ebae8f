"""Regular expressions of schemas, matched as ECMA 262 asks: anywhere in the text.

Rust's engine first (it takes linear time, and it is the dialect of the grammar), Python's where that one cannot:
lookaround and back references.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache


@lru_cache(maxsize=1024)
def searcher(pattern: str) -> Callable[[str], bool] | None:
    """A function that says whether the pattern occurs in a text; None when neither engine can read the pattern."""
    from pydantic_core import SchemaError, SchemaValidator, core_schema

    try:
        linear = SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex", strict=True))
    except SchemaError:
        pass
    else:
        return linear.isinstance_python
    compiled = python_pattern(pattern)
    return None if compiled is None else lambda text: compiled.search(text) is not None


def python_pattern(pattern: str) -> re.Pattern[str] | None:
    """The pattern compiled by Python's engine, which jsonschema matches keys with; None when it cannot."""
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return None
