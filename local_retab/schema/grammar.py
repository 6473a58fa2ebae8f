"""From an inference schema to llguidance's grammar text. With ``engine``, the only place that imports llguidance."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from local_retab.errors import UnsupportedSchemaError
from local_retab.schema import printed
from local_retab.schema.formats import USUAL_URI, exact_pattern
from local_retab.schema.nesting import levels
from local_retab.schema.presence import KEYWORD, with_cases
from local_retab.schema.style import COMPACT, options

MAX_LEVELS = 600  # llguidance overflows a stack of 8 MB at somewhat more than 1200

_SMALL = 200  # characters of a schema that is written again rather than referred to
_NAMED = frozenset({"properties", "patternProperties", "$defs"})
_LISTED = frozenset({"anyOf", "prefixItems"})
_SINGLE = frozenset({"items", "additionalProperties"})


def compile_grammar(inference: dict[str, Any], *, wide: bool = False) -> str:
    """The grammar of an inference schema, dates held to the calendar where ``exact_pattern`` has a pattern for them,
    and to what is printed where only their name says that they are dates; URIs to the usual schemes.

    Raises UnsupportedSchemaError with llguidance's reason.
    """
    deep = levels(inference)
    if deep > MAX_LEVELS:
        raise _unsupported(f"it nests {deep} levels deep through its definitions, and the limit is {MAX_LEVELS}")
    grammar, reason = _compile(json.dumps(_Writer(wide=wide).document(inference)), options(inference))
    if reason is not None:
        raise _unsupported(reason)
    return grammar


class _Writer:
    """Writes out what only inference schemas have: exact dates, and objects with cases, once for each.

    The cases of an object share what is large in it through definitions, so that cases in cases do not multiply.
    """

    def __init__(self, *, wide: bool) -> None:
        self._wide = wide
        self._names: dict[str, str] = {}
        self._definitions: dict[str, Any] = {}

    def document(self, inference: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = self._node(inference)
        return {**made, "$defs": {**made.get("$defs", {}), **self._definitions}} if self._definitions else made

    def _node(self, schema: Any) -> Any:
        if not isinstance(schema, dict):
            return schema
        if KEYWORD in schema:
            return self._cases(schema)
        made = dict(schema)
        if (pattern := exact_pattern(schema, wide=self._wide)) is not None:
            del made["format"]
            made["pattern"] = pattern
        elif made.get("format") == "uri" and not self._wide and not made.keys() & {"pattern", "allOf"}:
            del made["format"]
            made["pattern"] = USUAL_URI
        if made.pop(printed.KEYWORD, None) is not None:
            if made.get("maxLength", 0) >= printed.LONGEST:
                del made["maxLength"]
            made["pattern"] = printed.PATTERN
        for key in _NAMED & made.keys():
            made[key] = {name: self._node(child) for name, child in made[key].items()}
        for key in _LISTED & made.keys():
            made[key] = [self._node(child) for child in made[key]]
        for key in _SINGLE & made.keys():
            made[key] = self._node(made[key])
        return made

    def _cases(self, schema: dict[str, Any]) -> dict[str, Any]:
        made = with_cases(schema)
        for option in made["anyOf"]:
            for key in ("properties", "patternProperties"):
                if key in option:
                    option[key] = {name: self._shared(child) for name, child in option[key].items()}
            option["additionalProperties"] = self._shared(option["additionalProperties"])
        if "$defs" in made:
            made["$defs"] = {name: self._node(child) for name, child in made["$defs"].items()}
        return made

    def _shared(self, schema: Any) -> Any:
        text = json.dumps(schema)
        if len(text) <= _SMALL:
            return self._node(schema)
        if text not in self._names:
            self._names[text] = f"case-{len(self._names)}"  # no other name has a dash
            self._definitions[self._names[text]] = self._node(schema)
        return {"$ref": f"#/$defs/{self._names[text]}"}


def _unsupported(reason: str) -> UnsupportedSchemaError:
    return UnsupportedSchemaError(
        f"The schema cannot be decoded under: {reason}. Simplify the schema.",
        details={"problems": [{"path": "", "keyword": "", "reason": reason}]},
    )


@lru_cache(maxsize=4096)
def refusal(text: str) -> str | None:
    """Why llguidance cannot hold a schema, given as JSON text; None when it can."""
    return _compile(text, COMPACT)[1]


def _compile(text: str, overrides: dict[str, Any]) -> tuple[str, str | None]:
    from llguidance import LLMatcher

    try:
        grammar: str = LLMatcher.grammar_from_json_schema(text, overrides=overrides)
    except ValueError as error:  # its JSON reader stops at 128 levels
        return "", str(error)[:300]
    failed, messages = LLMatcher.validate_grammar_with_warnings(grammar)
    if not failed:
        return grammar, None
    lines = str(messages[0]).strip().splitlines()
    return grammar, lines[-1][:300] if lines else "refused without a reason"
