"""The plan of one schema: what the model is shown, what it is held to, and the way back to the caller's schema."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from local_retab.errors import UnsatisfiableSchemaError, UnsupportedSchemaError
from local_retab.schema.absent import allow_absent
from local_retab.schema.conjunction import Conjunctions
from local_retab.schema.deferred import Deferred
from local_retab.schema.dialect import dialect_of
from local_retab.schema.disjoint import settle
from local_retab.schema.grammar import compile_grammar
from local_retab.schema.inference import Inference
from local_retab.schema.patterns import searcher
from local_retab.schema.references import References
from local_retab.schema.shape import Shape, project
from local_retab.schema.template import render_template
from local_retab.schema.validation import validate
from local_retab.settings import Settings

PLANS = 64
"""Plans that are remembered; as many as an engine keeps compiled grammars."""


@dataclass(frozen=True, slots=True)
class SchemaPlan:
    """All that an extraction needs to know of its schema. Values are JSON values as ``json.loads`` gives them.

    A plan may be shared by requests: nothing in it is ever changed.
    """

    original: dict[str, Any]
    held: dict[str, Any]  # what values are validated against: the original, or that with nulls for what is absent
    inference: dict[str, Any]  # the JSON Schema that the grammar is compiled from
    grammar: str  # llguidance's text form of it
    template: str  # what the model is shown
    system_prompt: str | None
    shape: Shape
    source_prefix: str  # the key of a property's quote is this and its name
    reasoning_prefix: str  # and that of the reasoning about it
    deferred: tuple[Deferred, ...]  # held by validation only
    lines: tuple[str, ...] | None = None  # of the document, which the model quotes
    wide: bool = False  # every value of the caller's schema can be written, not only those its author will have meant

    def widened(self, *, settings: Settings) -> SchemaPlan:
        """The plan for another attempt: the same template, and a grammar that leaves out no value of the schema."""
        if self.wide:
            return self
        wide = _plan(self.original, self.held, settings=settings, lines=self.lines, wide=True)
        return replace(wide, template=self.template)

    def to_caller(self, value: Any) -> Any:
        """A value under the inference schema without hidden properties, and without nulls that stand for absence."""
        return project(value, self.shape)

    def validate(self, value: Any) -> None:
        """Check a value that ``to_caller`` gave against the held schema. Raises OutputValidationError."""
        validate(value, self.held)


def plan_schema(
    schema: dict[str, Any], *, settings: Settings, absent_null: bool = False, lines: Sequence[str] | None = None
) -> SchemaPlan:
    """Plan a schema that ``load_schema`` gave.

    ``absent_null`` lets its scalar properties be null throughout. With ``lines``, those of one document, the model
    quotes some of them before each value, and cannot quote anything else.

    Raises InvalidSchemaError when no value can satisfy it, UnsupportedSchemaError for what can be neither decoded
    under nor validated.
    """
    if lines is None:
        return _remembered(json.dumps(schema), settings, absent_null=absent_null)
    return _fresh(schema, settings=settings, absent_null=absent_null, lines=lines)


@lru_cache(PLANS)
def _remembered(schema: str, settings: Settings, *, absent_null: bool) -> SchemaPlan:
    """A request is checked where it comes in and where it runs, and the next one often has the same schema."""
    return _fresh(json.loads(schema), settings=settings, absent_null=absent_null, lines=None)


def _fresh(schema: dict[str, Any], *, settings: Settings, absent_null: bool, lines: Sequence[str] | None) -> SchemaPlan:
    held = allow_absent(schema) if absent_null else schema
    try:
        return _plan(schema, held, settings=settings, lines=lines, wide=False)
    except UnsatisfiableSchemaError:
        return _plan(schema, held, settings=settings, lines=lines, wide=True)


def _plan(
    schema: dict[str, Any], held: dict[str, Any], *, settings: Settings, lines: Sequence[str] | None, wide: bool
) -> SchemaPlan:
    dialect = dialect_of(held)
    references = References(held, dialect)
    _check_patterns(references)
    reader = Conjunctions(references, dialect, wide=wide)
    builder = Inference(reader, max_string_chars=settings.max_string_chars, lines=lines)
    inference, shape = builder.build()
    if apart := settle(reader):
        reader = Conjunctions(references, dialect, wide=wide, apart=apart)
        builder = Inference(reader, max_string_chars=settings.max_string_chars, lines=lines)
        inference, shape = builder.build()
        settle(reader)
    grammar = compile_grammar(inference, wide=wide)
    prompt = schema.get("X-SystemPrompt")
    return SchemaPlan(
        original=schema,
        held=held,
        lines=None if lines is None else tuple(lines),
        inference=inference,
        grammar=grammar,
        template=render_template(inference),
        system_prompt=prompt if isinstance(prompt, str) and prompt.strip() else None,
        shape=shape,
        source_prefix=builder.hidden.source_prefix,
        reasoning_prefix=builder.hidden.reasoning_prefix,
        deferred=tuple(reader.deferred.values()),
        wide=wide,
    )


def _check_patterns(references: References) -> None:
    """Refuse regular expressions that no engine here reads: nothing could hold a value to them."""
    problems = []
    for pointer in references.pointers():
        schema = references.at(pointer)
        if not isinstance(schema, dict):
            continue
        unread = [("pattern", text) for text in [schema.get("pattern")] if text is not None and not searcher(text)]
        unread += [("patternProperties", k) for k in schema.get("patternProperties", ()) if not searcher(k)]
        for keyword, pattern in unread:
            reason = f"{pattern[:100]!r} is not a regular expression that can be checked"
            problems.append({"path": pointer, "keyword": keyword, "reason": reason})
    if problems:
        first = problems[0]
        raise UnsupportedSchemaError(
            f"The schema's {first['keyword']} at {first['path'] or '/'}: {first['reason']}. Correct or remove it.",
            details={"problems": problems},
        )
