"""What the reader of an output should know about it, each with the place that it is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from local_retab.extraction.declared import Declared
from local_retab.extraction.partial import MISSING, Missing
from local_retab.schema.dialect import escape
from local_retab.wire import ExtractionNotice

if TYPE_CHECKING:
    from pydantic import JsonValue

    from local_retab.settings import Settings


def budget_notices(cut_at: str | None, settings: Settings) -> list[ExtractionNotice]:
    """That the token budget ended at the pointer ``cut_at``; None where it did not."""
    if cut_at is None:
        return []
    return [
        ExtractionNotice(
            code="OUTPUT_BUDGET_EXHAUSTED",
            path=cut_at,
            message=f"The answer reached its limit ({settings.max_output_tokens} tokens, or the context). Values from "
            f"{cut_at or 'the start'} on were closed without the model. "
            f"Set LOCAL_RETAB_MAX_OUTPUT_TOKENS or LOCAL_RETAB_CONTEXT_TOKENS higher.",
        )
    ]


def synthesised_paths(value: JsonValue, written: JsonValue | Missing, path: str = "") -> list[str]:
    """The pointers of scalars and empty containers in ``value`` that are not in ``written``, what was complete of it
    when the budget ended."""
    children = _children(value)
    if not children:
        same = type(written) is type(value) and written == value and not isinstance(value, dict | list)
        return [] if same or (isinstance(value, dict | list) and not isinstance(written, Missing)) else [path]
    found: list[str] = []
    for key, item in children:
        found += synthesised_paths(item, _child(written, key), f"{path}/{escape(str(key))}")
    return found


def _child(value: JsonValue | Missing, key: str | int) -> JsonValue | Missing:
    if isinstance(value, dict):
        return value.get(str(key), MISSING)
    return value[key] if isinstance(value, list) and isinstance(key, int) and key < len(value) else MISSING


def absence_notices(unprinted: Sequence[str]) -> list[ExtractionNotice]:
    """That the values at these pointers are null although the model wrote something else."""
    return [
        ExtractionNotice(
            code="NOT_STATED",
            path=path,
            message="The model's answer was a word for null, or something that is not printed in the document. "
            "The field may be null, and is.",
        )
        for path in unprinted
    ]


def circle_notices(circles: Sequence[str]) -> list[ExtractionNotice]:
    """That the arrays at these pointers were ended because their items came round and round."""
    return [
        ExtractionNotice(
            code="ITEMS_REPEATED",
            path=path,
            message="The model wrote the same items over and over. The array was ended there, without repeated texts "
            "at its end; items that the document names after them may be missing.",
        )
        for path in circles
    ]


def string_notices(value: JsonValue, settings: Settings) -> list[ExtractionNotice]:
    """Which strings are as long as the limit lets them be."""
    limit = settings.max_string_chars
    return [
        ExtractionNotice(
            code="STRING_LIMIT_REACHED",
            path=path,
            message=f"The string was cut at {limit} characters. Set LOCAL_RETAB_MAX_STRING_CHARS higher, "
            f"or give the field a maxLength.",
        )
        for path, text in _strings(value, "")
        if len(text) == limit
    ]


def forbidden_nulls(value: JsonValue, schema: dict[str, Any]) -> list[str]:
    """The pointers of nulls in ``value`` where the caller's schema has other types."""
    return list(_forbidden(value, Declared.root(schema), ""))


def _forbidden(value: JsonValue, declared: Declared, path: str) -> Iterator[str]:
    if value is None and declared.forbids_null:
        yield path
    for key, item in _children(value):
        yield from _forbidden(item, declared.child(key), f"{path}/{escape(str(key))}")


def _strings(value: JsonValue, path: str) -> Iterator[tuple[str, str]]:
    """Every string of a value with its JSON pointer."""
    if isinstance(value, str):
        yield path, value
    for key, item in _children(value):
        yield from _strings(item, f"{path}/{escape(str(key))}")


def _children(value: JsonValue) -> list[tuple[str | int, JsonValue]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []
