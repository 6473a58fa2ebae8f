"""Schemas as alternatives of conjunctions: references followed, allOf joined, anyOf and oneOf multiplied out.

A conjunction is a tuple of JSON pointers, outermost first, into the caller's document: a value is under it when it is
under every schema pointed at. Pointers keep where a keyword stands, and make recursion visible as a repeated tuple.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from typing import Any

from local_retab.errors import InvalidSchemaError
from local_retab.schema.constants import Constants
from local_retab.schema.deferred import REASONS, Deferred, has_effect
from local_retab.schema.dialect import Dialect, escape
from local_retab.schema.negation import negation
from local_retab.schema.presence import ALWAYS, KEYWORDS, Condition, Conditions
from local_retab.schema.references import MADE, References

Conjunction = tuple[str, ...]
Apart = dict[str, dict[int, list[Any]]]

NULL = "null"  # stands for {"type": "null"}; no JSON pointer, for those are empty or begin with a slash
ONE_OF = "the grammar holds it as anyOf"
MAX_ALTERNATIVES = 256
MAX_PRODUCT = 32
MAX_TRAIL = 64
_ANNOTATIONS = frozenset(
    {
        "$comment", "$defs", "$id", "$anchor", "$schema", "default", "definitions", "deprecated", "description",
        "examples", "example", "id", "readOnly", "title", "writeOnly", "X-ReasoningPrompt", "X-FieldPrompt",
        "X-SystemPrompt", "X-SourceQuote", "X-SchemaType", "X-FieldTranslation", "X-EnumTranslation",
    }
)  # fmt: skip
_ABOUT_ANY_VALUE = frozenset({"$dynamicRef", "$recursiveRef", "if", "not"})
_PRESENCE = frozenset({"required", "type"}) | _ANNOTATIONS


class Conjunctions:
    """The reader of one schema document.

    ``wide``: read it as JSON Schema says, where a schema without ``type`` is about values of every type and an object
    may hold keys that no keyword mentions. Otherwise as its author will have meant it.
    """

    __slots__ = (
        "_conditions",
        "_expanded",
        "apart",
        "conditions",
        "deferred",
        "dialect",
        "exclusive",
        "references",
        "uncertain",
        "wide",
    )

    def __init__(
        self, references: References, dialect: Dialect, *, wide: bool = False, apart: Apart | None = None
    ) -> None:
        """``apart`` says, by the pointer of a schema with oneOf, what each of its alternatives has to be under as well
        so that no value is under two of them."""
        self.references = references
        self.dialect = dialect
        self.wide = wide
        self.apart: Apart = apart or {}
        self.deferred: dict[tuple[str, str], Deferred] = {}
        self.uncertain: set[str] = set()  # pointers with a deferred keyword that may refuse null
        self.exclusive: set[str] = set()  # pointers with a oneOf
        # By pointer and keyword: what says no more than which keys an object has.
        self.conditions: dict[str, dict[str, Condition]] = {}
        self._expanded: dict[str, tuple[Conjunction, ...]] = {}
        self._conditions = Conditions(references, self.complement)

    def defer(self, pointer: str, keyword: str, reason: str) -> None:
        """Leave a keyword to validation."""
        if MADE in pointer:
            pointer, _, last = pointer.partition(MADE)[0].rpartition("/")
            pointer, keyword = (pointer, last) if last == "not" else (f"{pointer}/{last}", keyword)
        self.deferred.setdefault((pointer, keyword), Deferred(pointer, keyword, reason))

    def _drop(self, pointer: str, keyword: str, reason: str) -> None:
        """Leave a keyword to validation that may also refuse null."""
        self.defer(pointer, keyword, reason)
        self.uncertain.add(pointer)

    def schema(self, pointer: str) -> dict[str, Any]:
        """The keywords at a pointer of an expanded conjunction that say something themselves."""
        if pointer == NULL:
            return {"type": "null"}
        schema: dict[str, Any] = self.references.at(pointer)
        if self.dialect.ref_stands_alone and "$ref" in schema:
            return {key: value for key, value in schema.items() if key in _ANNOTATIONS}
        return schema

    def dereference(self, pointers: Conjunction) -> tuple[Conjunction, Conjunction]:
        """Follow a lone reference: what it leads to, and the pointers passed on the way, outermost first."""
        passed: list[str] = []
        while len(pointers) == 1 and pointers[0] not in passed and pointers[0] != NULL:
            schema = self.references.at(pointers[0])
            if not isinstance(schema, dict) or "$ref" not in schema or schema.get("nullable") is True:
                break
            if not (self.dialect.ref_stands_alone or schema.keys() <= _ANNOTATIONS | {"$ref"}):
                break
            passed.append(pointers[0])
            pointers = (self.references.target(pointers[0], schema["$ref"]),)
        return pointers, tuple(passed)

    def expand(self, pointers: Conjunction) -> tuple[Conjunction, ...]:
        """The alternatives of a conjunction, in each every keyword that applies; () when no value is under it."""
        found: tuple[Conjunction, ...] = ((),)
        for pointer in pointers:
            found = self._multiply(found, self._expand(pointer, ()), pointer, "allOf")
        return found

    def _expand(self, pointer: str, trail: Conjunction) -> tuple[Conjunction, ...]:
        if pointer in self._expanded:
            return self._expanded[pointer]
        if pointer in trail or len(trail) > MAX_TRAIL:
            raise InvalidSchemaError(
                f"The schema at {pointer or '/'} refers to itself, or through more than {MAX_TRAIL} schemas in a row, "
                "before any property or element. Break the chain of references."
            )
        schema = {} if pointer == NULL else self.references.at(pointer)
        if schema is False:
            found: tuple[Conjunction, ...] = ()
        elif schema is True:
            found = ((),)
        else:
            found = self._applied(pointer, schema, (*trail, pointer))
        self._expanded[pointer] = found
        return found

    def _applied(self, pointer: str, schema: dict[str, Any], trail: Conjunction) -> tuple[Conjunction, ...]:
        found: tuple[Conjunction, ...] = ((pointer,),)
        if "$ref" in schema:
            target = self.references.target(pointer, schema["$ref"])
            found = self._multiply(found, self._expand(target, trail), pointer, "$ref")
        if not ("$ref" in schema and self.dialect.ref_stands_alone):
            for index in range(len(schema.get("allOf", ()))):
                found = self._multiply(found, self._expand(f"{pointer}/allOf/{index}", trail), pointer, "allOf")
            for keyword in ("anyOf", "oneOf"):
                if keyword in schema:
                    found = self._multiply(found, self._union(pointer, keyword, trail), pointer, keyword)
            for keyword in REASONS.keys() & schema.keys():
                if keyword in self.dialect.keywords and has_effect(keyword, schema):
                    other = self.complement(f"{pointer}/not") if keyword == "not" else None
                    if other is not None:
                        found = self._multiply(found, self._expand(other, trail), pointer, keyword)
                        continue
                    if self._is_condition(pointer, keyword, schema):
                        continue
                    leave = self._drop if keyword in _ABOUT_ANY_VALUE else self.defer
                    leave(pointer, keyword, REASONS[keyword])
        if schema.get("nullable") is True:  # OpenAPI 3.0
            found = (*found, (NULL,))
        return found

    def complement(self, pointer: str) -> str | None:
        """A pointer to what is not under a schema; None where the grammar cannot hold that."""
        left = negation(self.references.at(pointer), lambda reference: self._target(pointer, reference))
        return None if left is None else self.references.make(pointer, "not", left)

    def made(self, pointers: Conjunction, known: Constants) -> str:
        """A pointer to a schema of some constants, for a property whose schemas are at ``pointers``."""
        schema = known.schema()
        at = pointers[0].partition(MADE)[0] if pointers else ""
        return self.references.make(at, escape(json.dumps(schema)), schema)

    def _target(self, pointer: str, reference: str) -> Any:
        return self.references.at(self.references.target(pointer, reference))

    def _union(self, pointer: str, keyword: str, trail: Conjunction) -> tuple[Conjunction, ...]:
        schema: dict[str, Any] = self.references.at(pointer)
        if self._is_condition(pointer, keyword, schema):
            return ((),)
        children: list[Any] = schema[keyword]
        if all(isinstance(child, dict) and "required" in child and child.keys() <= _PRESENCE for child in children):
            self._drop(pointer, keyword, "depends on which keys are present")
            return ((),)
        options = [self._expand(f"{pointer}/{keyword}/{index}", trail) for index in range(len(children))]
        for index, more in self.apart.get(pointer, {}).items() if keyword == "oneOf" else ():
            made = self.references.make(f"{pointer}/oneOf/{index}", "apart", {"allOf": more})
            options[index] = self._multiply(options[index], self._expand(made, trail), pointer, keyword)
        found = tuple(dict.fromkeys(alternative for option in options for alternative in option))
        if len(found) > MAX_ALTERNATIVES:
            self._drop(pointer, keyword, f"more than {MAX_ALTERNATIVES} alternatives")
            return ((),)
        if keyword == "oneOf" and pointer not in self.apart:
            self.defer(pointer, keyword, ONE_OF)
            self.exclusive.add(pointer)
        return found

    def _is_condition(self, pointer: str, keyword: str, schema: dict[str, Any]) -> bool:
        """Whether a keyword says only which keys an object has; it is kept then."""
        found = self._conditions.read(pointer, (keyword,)) if keyword in KEYWORDS else None
        if found is None or found == ALWAYS or (keyword in ("anyOf", "oneOf") and not _of_keys(found)):
            return False
        self.conditions.setdefault(pointer, {})[keyword] = found
        if keyword in _ABOUT_ANY_VALUE:
            self.uncertain.add(pointer)
        return True

    def _multiply(
        self, left: tuple[Conjunction, ...], right: tuple[Conjunction, ...], pointer: str, keyword: str
    ) -> tuple[Conjunction, ...]:
        if min(len(left), len(right)) > 1 and len(left) * len(right) > MAX_PRODUCT:
            self._drop(pointer, keyword, f"more than {MAX_PRODUCT} combinations of alternatives")
            return left
        return tuple(tuple(dict.fromkeys((*a, *b))) for a, b in product(left, right))

    def annotations(self, pointers: Conjunction, keyword: str) -> Iterator[Any]:
        """What ``keyword`` says of a conjunction, outermost first; of a union only what all alternatives share."""
        options = [option for option in self.expand(pointers) if not self._only_null(option)]
        for pointer in options[0] if options else ():
            schema = self.schema(pointer)
            if keyword in schema and all(pointer in option for option in options):
                yield schema[keyword]

    def text(self, pointers: Conjunction, keyword: str) -> str | None:
        """The outermost text that ``keyword`` gives a conjunction."""
        found = self.annotations(pointers, keyword)
        return next((text for text in found if isinstance(text, str) and text.strip()), None)

    def description(self, pointers: Conjunction) -> str | None:
        """How a conjunction is described to the model: X-FieldPrompt, else description."""
        return self.text(pointers, "X-FieldPrompt") or self.text(pointers, "description")

    def described(self, passed: Conjunction) -> str | None:
        """The same of the references that ``dereference`` passed, whose words win over their target's."""
        for keyword in ("X-FieldPrompt", "description"):
            for pointer in passed:
                text = self.schema(pointer).get(keyword)
                if isinstance(text, str) and text.strip():
                    return text
        return None

    def _only_null(self, option: Conjunction) -> bool:
        return any(self.schema(pointer).get("type") in ("null", ["null"]) for pointer in option)


def _of_keys(found: Condition) -> bool:
    """Whether a condition is only about which keys there are: unions of objects stay unions."""
    return not any(case.among or case.held for case in found)
