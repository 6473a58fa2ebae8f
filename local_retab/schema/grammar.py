"""From an inference schema to llguidance's grammar text. With ``engine``, the only place that imports llguidance."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from local_retab.errors import UnsupportedSchemaError
from local_retab.schema.nesting import levels

MAX_LEVELS = 600  # llguidance overflows a stack of 8 MB at somewhat more than 1200

# Fixed separators: keys and punctuation are then forced tokens, which are decoded without the model.
_OPTIONS = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def compile_grammar(inference: dict[str, Any]) -> str:
    """The grammar of an inference schema. Raises UnsupportedSchemaError with llguidance's reason."""
    deep = levels(inference)
    if deep > MAX_LEVELS:
        raise _unsupported(f"it nests {deep} levels deep through its definitions, and the limit is {MAX_LEVELS}")
    grammar, reason = _compile(json.dumps(inference))
    if reason is not None:
        raise _unsupported(reason)
    return grammar


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
