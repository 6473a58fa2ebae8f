"""From an inference schema to llguidance's grammar text. With ``engine``, the only place that imports llguidance."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from local_retab.errors import UnsupportedSchemaError
from local_retab.schema.formats import exact_pattern
from local_retab.schema.nesting import levels

MAX_LEVELS = 600  # llguidance overflows a stack of 8 MB at somewhat more than 1200

_NAMED = frozenset({"properties", "patternProperties", "$defs"})
_LISTED = frozenset({"anyOf", "prefixItems"})
_SINGLE = frozenset({"items", "additionalProperties"})

# Fixed separators: keys and punctuation are then forced tokens, which are decoded without the model.
_OPTIONS = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def compile_grammar(inference: dict[str, Any], *, wide: bool = False) -> str:
    """The grammar of an inference schema, dates held to the calendar where ``exact_pattern`` has a pattern for them.

    Raises UnsupportedSchemaError with llguidance's reason.
    """
    deep = levels(inference)
    if deep > MAX_LEVELS:
        raise _unsupported(f"it nests {deep} levels deep through its definitions, and the limit is {MAX_LEVELS}")
    grammar, reason = _compile(json.dumps(_with_calendar(inference, wide)))
    if reason is not None:
        raise _unsupported(reason)
    return grammar


def _with_calendar(schema: Any, wide: bool) -> Any:
    """``schema`` with the pattern of existing dates in the place of a format."""
    if not isinstance(schema, dict):
        return schema
    made = dict(schema)
    if (pattern := exact_pattern(schema, wide=wide)) is not None:
        del made["format"]
        made["pattern"] = pattern
    for key in _NAMED & made.keys():
        made[key] = {name: _with_calendar(child, wide) for name, child in made[key].items()}
    for key in _LISTED & made.keys():
        made[key] = [_with_calendar(child, wide) for child in made[key]]
    for key in _SINGLE & made.keys():
        made[key] = _with_calendar(made[key], wide)
    return made


def _unsupported(reason: str) -> UnsupportedSchemaError:
    return UnsupportedSchemaError(
        f"The schema cannot be decoded under: {reason}. Simplify the schema.",
        details={"problems": [{"path": "", "keyword": "", "reason": reason}]},
    )


@lru_cache(maxsize=4096)
def refusal(text: str) -> str | None:
    """Why llguidance cannot hold a schema, given as JSON text; None when it can."""
    return _compile(text)[1]


def _compile(text: str) -> tuple[str, str | None]:
    from llguidance import LLMatcher

    try:
        grammar: str = LLMatcher.grammar_from_json_schema(text, overrides=_OPTIONS)
    except ValueError as error:  # its JSON reader stops at 128 levels
        return "", str(error)[:300]
    failed, messages = LLMatcher.validate_grammar_with_warnings(grammar)
    if not failed:
        return grammar, None
    lines = str(messages[0]).strip().splitlines()
    return grammar, lines[-1][:300] if lines else "refused without a reason"
