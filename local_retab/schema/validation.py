"""The last word: a finished value against the caller's own schema, under the rules of its draft."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from local_retab.errors import OutputValidationError
from local_retab.schema.dialect import dialect_of, escape
from local_retab.schema.formats import format_checker
from local_retab.schema.patterns import PatternTimeoutError, searcher

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

MAX_PROBLEMS = 20
MAX_REASON_CHARS = 300


def validate(value: Any, schema: dict[str, Any]) -> None:
    """Raises OutputValidationError with every problem (at most MAX_PROBLEMS) when ``value`` is not under ``schema``."""
    try:
        json.dumps(value, allow_nan=False)  # 1e999 is JSON, and Python reads it as infinity
        problems = [_problem(error) for error in islice(checker(schema).iter_errors(value), MAX_PROBLEMS)]
    except PatternTimeoutError as error:
        problems = [{"path": "", "keyword": "pattern", "reason": str(error)}]
    except ValueError:
        problems = [{"path": "", "keyword": "type", "reason": "a number in the value is too large"}]
    except RecursionError:
        problems = [{"path": "", "keyword": "$ref", "reason": "the value is nested too deeply to be checked"}]
    if problems:
        first = problems[0]
        raise OutputValidationError(
            f"The extracted value at {first['path'] or '/'} breaks {first['keyword']!r} of the schema: "
            f"{first['reason']}. Extract again, with a larger model or a schema that asks for less.",
            details={"problems": problems},
        )


def checker(schema: dict[str, Any]) -> Validator:
    """A jsonschema validator of ``schema`` under the rules of its draft, and of this module; it fetches nothing."""
    from jsonschema_specifications import REGISTRY  # the drafts' own schemas; jsonschema's default fetches others

    draft = _validator(dialect_of(schema).validator)
    return draft(schema, registry=REGISTRY, format_checker=format_checker())


def _problem(error: ValidationError) -> dict[str, str]:
    path = "".join(f"/{escape(str(part))}" for part in error.absolute_path)
    return {"path": path, "keyword": str(error.validator), "reason": error.message[:MAX_REASON_CHARS]}


@lru_cache(maxsize=8)
def _validator(draft: type[Validator]) -> type[Validator]:
    """The draft with OpenAPI's ``nullable``, and with patterns as the grammar reads them."""
    from jsonschema import Draft7Validator, Draft202012Validator, validators

    from local_retab.schema import keys

    extend: Callable[..., type[Validator]] = validators.extend
    # Draft 2019-09 took `dependencies` apart, and lets implementations go on holding to it.
    dependencies = Draft7Validator.VALIDATORS["dependencies"]
    keywords = {
        "dependencies": dependencies,
        **draft.VALIDATORS,
        "pattern": _pattern,
        "patternProperties": keys.pattern_properties,
        "additionalProperties": keys.additional_properties,
    }
    if draft is Draft202012Validator:
        keywords["unevaluatedProperties"] = keys.unevaluated_properties
    return extend(draft, {name: _unless_null(check) for name, check in keywords.items()})


Check = Callable[[Any, Any, Any, dict[str, Any]], Iterator["ValidationError"] | None]


def _unless_null(check: Check) -> Check:
    def checked(validator: Any, expected: Any, value: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
        if not (value is None and schema.get("nullable") is True):
            yield from check(validator, expected, value, schema) or ()

    return checked


def _pattern(validator: Any, pattern: str, value: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
    from jsonschema.exceptions import ValidationError

    search = searcher(pattern)
    if validator.is_type(value, "string") and (search is None or not search(value)):
        yield ValidationError(f"{value!r} does not match {pattern!r}")
