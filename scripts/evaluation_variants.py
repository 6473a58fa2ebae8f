"""The prompt and the request with one thing changed: what ``scripts/evaluate --ablate`` measures one by one.

The product knows nothing of these: a variant changes what it is asked, or the chat that it has written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

from local_retab.engine.images import Pixels
from local_retab.extraction import profiles
from local_retab.extraction.chat import Message
from local_retab.extraction.profiles import DEFAULT, Chat, Profile, Writer
from local_retab.extraction.prompt import RULES
from local_retab.schema import SchemaPlan
from local_retab.schema.nodes import generation_order
from local_retab.wire import ExtractionParameters

EARLIER_RULES = (
    "- Copy values as they are printed, without the label. Numbers are plain: 1234.5, no thousands separators.\n"
    "- Each field gets the value of its own label only. Give null for a field that may be null when the document "
    "does not state it; never guess and never reuse another field's value.\n"
)
NULL_RULE = "Give null for a field that may be null when the document does not state it; "
NULL_RULE_ONLY = "Give null only when the document does not show the value; "
UNLABELLED_RULE = "- Names and addresses often have no label and stand at the top of the document.\n"
REASON = "Where the document states it."
REASONING = "X-ReasoningPrompt"

_FIELD = re.compile(r'^(\s*"(?:[^"\\]|\\.)*"\??: [^{\[].*?)(,?(?: // .*)?)$', re.MULTILINE)
"""A line of a template that is one field and no object: its key and what it may be; a comma and a comment."""
_NOTE = re.compile(r" \(= \d{4}-\d{2}-\d{2}\)")
"""A printed date in ISO 8601, as the prompt has it behind the date."""

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Variant:
    """One thing that is changed; ``about`` says what. Without changes, the product as it is."""

    about: str
    schema: Callable[[Schema], Schema] = lambda schema: schema
    plan: Callable[[SchemaPlan], SchemaPlan] = lambda plan: plan
    chat: Callable[[str, str], tuple[str, str]] = lambda system, user: (system, user)
    sources: Literal["located", "cited"] = "located"
    retries: int | None = None

    @contextmanager
    def written(self) -> Iterator[None]:
        """Meanwhile, prompts of the common form are written so. One at a time in a process."""
        known = profiles.PROFILES
        profiles.PROFILES = {**known, DEFAULT: Profile(self._writer(known[DEFAULT].write))}
        try:
            yield
        finally:
            profiles.PROFILES = known

    def _writer(self, product: Writer) -> Writer:
        def write(
            plan: SchemaPlan,
            parameters: ExtractionParameters,
            pages: Sequence[str],
            images: Sequence[Pixels],
            numbers: Sequence[int] | None = None,
            /,
        ) -> Chat:
            chat = product(self.plan(plan), parameters, pages, images, numbers)
            system, *between, user = chat.messages
            if not isinstance(user.content, str):
                raise ValueError("Variants are of prompts without images.")
            head, tail = self.chat(system.content, user.content)
            return replace(chat, messages=[Message("system", head), *between, Message("user", tail)])

        return write


def rules(change: Callable[[str], str]) -> Callable[[str, str], tuple[str, str]]:
    """Other rules at the head of the system message."""
    return lambda system, user: (system.replace(RULES, change(RULES)), user)


def template_last(system: str, user: str) -> tuple[str, str]:
    """The template between the document and the request to fill it in."""
    head, _, template = system.rpartition("\n\nThe template:\n")
    document, _, request = user.rpartition("\n\n")
    return head, f"{document}\n\nThe template:\n{template}\n\n{request}"


def without_layout(system: str, user: str) -> tuple[str, str]:
    """Words of a line one blank apart, lines without their indentation."""
    return system, "\n".join(re.sub(r" {2,}", " ", line.strip()) for line in user.split("\n"))


def without_notes(system: str, user: str) -> tuple[str, str]:
    """Dates as they are printed."""
    return system, _NOTE.sub("", user)


def in_template(pattern: str, text: str) -> Callable[[SchemaPlan], SchemaPlan]:
    """The key and placeholder of each single field written otherwise."""
    return lambda plan: replace(
        plan, template=_FIELD.sub(lambda line: re.sub(pattern, text, line[1], count=1) + line[2], plan.template)
    )


def schema_itself(plan: SchemaPlan) -> SchemaPlan:
    """The JSON Schema that answers are held to in place of the template."""
    return replace(plan, template=json.dumps(plan.inference, ensure_ascii=False))


def everywhere(change: Callable[[Schema], Schema]) -> Callable[[Schema], Schema]:
    """``change`` of every object schema among properties, items and definitions, inner ones first."""

    def visit(node: Any) -> Any:
        if isinstance(node, list):
            return [visit(item) for item in node]
        if not isinstance(node, dict):
            return node
        inner = {
            key: item if key in {"enum", "const", "default", "examples"} else visit(item) for key, item in node.items()
        }
        return change(inner) if isinstance(inner.get("properties"), dict) else inner

    return visit  # type: ignore[no-any-return]


def written_order(node: Schema) -> list[str]:
    """The fields as the product has them written."""
    return generation_order(list(node["properties"]), node.get("required", []))


def reversed_fields(node: Schema) -> Schema:
    return {**node, "properties": {name: node["properties"][name] for name in reversed(written_order(node))}}


def nullable_last(node: Schema) -> Schema:
    """Fields that must have a value first."""
    fields = node["properties"]
    names = sorted(written_order(node), key=lambda name: "null" in json.dumps(fields[name].get("type")))
    return {**node, "properties": {name: fields[name] for name in names}}


def caller_order(node: Schema) -> Schema:
    """Nothing in ``required`` that the product could take for the author's order."""
    return {**node, "required": sorted(node.get("required", []))}


def reasoned(node: Schema) -> Schema:
    """Hidden reasoning before every single value."""
    fields = node["properties"].items()
    return {
        **node,
        "properties": {name: {REASONING: REASON, **field} if leaf(field) else field for name, field in fields},
    }


def unreasoned(node: Schema) -> Schema:
    fields = {name: without_reasoning(field) for name, field in node["properties"].items()}
    return {**without_reasoning(node), "properties": fields}


def without_reasoning(node: Schema) -> Schema:
    return {key: item for key, item in node.items() if key != REASONING}


def leaf(field: Schema) -> bool:
    return not field.keys() & {"properties", "items", "$ref", "anyOf", "allOf", "oneOf"}


VARIANTS: Mapping[str, Variant] = {
    "default": Variant("the product as it is"),
    "template_last": Variant("the template after the document, not before it", chat=template_last),
    "caller_order": Variant(
        "fields in the order of the schema, also where it is the alphabet", everywhere(caller_order)
    ),
    "reversed_fields": Variant("fields in the opposite order", everywhere(reversed_fields)),
    "nullable_last": Variant("fields that may be null after the others", everywhere(nullable_last)),
    "untyped": Variant("placeholders that do not say what they hold", plan=in_template(r": (.+)$", ": ...")),
    "json_schema": Variant("the JSON Schema instead of the template", plan=schema_itself),
    "null_untold": Variant("no rule on null", chat=rules(lambda text: text.replace(NULL_RULE, ""))),
    "null_when_not_shown": Variant(
        "null only when the document does not show it", chat=rules(lambda text: text.replace(NULL_RULE, NULL_RULE_ONLY))
    ),
    "null_not_in_template": Variant("placeholders that do not say `or null`", plan=in_template(r" or null$", "")),
    "earlier_rules": Variant("the rules before whole values were asked for", chat=rules(lambda _: EARLIER_RULES)),
    "unlabelled": Variant("a rule on names without a label", chat=rules(lambda text: text + UNLABELLED_RULE)),
    "no_layout": Variant("lines without indentation and columns", chat=without_layout),
    "no_iso_dates": Variant("no dates in ISO 8601 beside the printed ones", chat=without_notes),
    "no_reasoning": Variant("the schema's hidden reasoning left out", everywhere(unreasoned)),
    "reasoning": Variant("hidden reasoning before every single value", everywhere(reasoned)),
    "quoted": Variant("the lines of the document quoted before every value", sources="cited"),
    "no_retry": Variant("no second attempt after an answer that fails validation", retries=0),
}
