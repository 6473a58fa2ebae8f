"""Properties of plans, over random schemas with instances of them, and over random walks through their grammars."""

import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from llguidance import LLMatcher, LLTokenizer

from local_retab.errors import OutputValidationError
from local_retab.schema import SchemaPlan, load_schema, plan_schema
from local_retab.schema.style import SEPARATORS
from local_retab.settings import Settings

SETTINGS = Settings(max_string_chars=12)
BYTES = LLTokenizer("byte")  # tokens 0 to 255 are the bytes
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8)
NAMES = st.one_of(st.sampled_from(["a", "b", "c", "_a", "source___b"]), TEXT.filter(bool))
QUICK = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
DEFINITIONS: dict[str, dict[str, Any]] = {
    "Word": {"type": "string", "maxLength": 5, "description": "a word", "X-ReasoningPrompt": "which"},
    "Tree": {
        "type": "object",
        "properties": {
            "label": {"type": "string", "X-SourceQuote": True},
            "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}, "maxItems": 2},
        },
        "required": ["label"],
    },
}
ANNOTATIONS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "description": TEXT,
        "X-ReasoningPrompt": TEXT,
        "X-SourceQuote": st.booleans(),
        "title": TEXT,
        "default": st.none(),
    },
)
LEAVES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.sampled_from(
        [
            {"type": "string"},
            {"type": "string", "maxLength": 4},
            {"type": "string", "pattern": "^[ab]{1,3}$"},
            {"type": "string", "format": "date"},
            {"type": "integer", "minimum": -5, "maximum": 300},
            {"type": "number", "exclusiveMinimum": 0, "maximum": 2},
            {"type": "number"},
            {"type": "boolean"},
            {"type": "null"},
            {"type": ["integer", "null"]},
            {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
            {"type": "string", "nullable": True},
            {"const": "fixed"},
            {"$ref": "#/$defs/Word"},
            {"$ref": "#/$defs/Tree"},
            {"allOf": [{"$ref": "#/$defs/Word"}, {"minLength": 2}]},
            {"oneOf": [{"type": "integer"}, {"type": "string"}]},
        ]
    ),
    st.lists(st.one_of(TEXT, st.integers(-9, 9)), min_size=1, max_size=4).map(lambda values: {"enum": values}),
)


@st.composite
def objects(draw: st.DrawFn, children: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    properties = draw(st.dictionaries(NAMES, children, max_size=4))
    required = [name for name in properties if draw(st.booleans())]
    more: dict[str, Any] = draw(
        st.sampled_from([{}, {"additionalProperties": False}, {"additionalProperties": {"type": "integer"}}])
    )
    return {"type": "object", "properties": properties, "required": required, **more}


@st.composite
def unions(draw: st.DrawFn, children: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    options = []
    for kind in ("one", "two"):
        option = draw(objects(children))
        option["properties"] = {"kind": {"const": kind}, **option["properties"], "kind ": {"const": kind}}
        option["required"] = ["kind", *option["required"], "kind "]
        option["properties"]["kind"] = {"const": kind}
        options.append({**option, "required": list(dict.fromkeys(option["required"]))})
    return {draw(st.sampled_from(["anyOf", "oneOf"])): options}


@st.composite
def arrays(draw: st.DrawFn, children: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    more: dict[str, Any] = draw(st.sampled_from([{}, {"minItems": 1}, {"maxItems": 3}, {"uniqueItems": True}]))
    return {"type": "array", "items": draw(children), **more}


NODES = st.recursive(
    st.builds(lambda leaf, notes: {**notes, **leaf}, LEAVES, ANNOTATIONS),
    lambda children: st.one_of(objects(children), arrays(children), unions(children)),
    max_leaves=6,
)
SCHEMAS = st.builds(lambda root, notes: {**root, **notes, "$defs": DEFINITIONS}, objects(NODES), ANNOTATIONS)


def instance(draw: st.DrawFn, schema: dict[str, Any], depth: int = 0) -> Any:  # noqa: PLR0911
    """A value under ``schema``; a property is left out only where its null would not be a value of its own."""
    if schema.get("nullable") and draw(st.booleans()):
        return None
    if "$ref" in schema:
        return instance(draw, DEFINITIONS[schema["$ref"].rpartition("/")[2]], depth)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            options: list[dict[str, Any]] = schema[keyword]
            return instance(draw, draw(st.sampled_from(options)), depth)
    if "allOf" in schema:
        return draw(TEXT.map(lambda text: (text + "xx")[:5]))
    if "enum" in schema or "const" in schema:
        return draw(st.sampled_from(schema.get("enum", [schema.get("const")])))
    kind = schema["type"] if isinstance(schema["type"], str) else draw(st.sampled_from(schema["type"]))
    if kind == "object":
        value: dict[str, Any] = {}
        for name, child in schema["properties"].items():
            if name in schema["required"] or (depth < 3 and (allows_null(child) or draw(st.booleans()))):
                value[name] = instance(draw, child, depth + 1)
            elif allows_null(child):
                value[name] = None
        if schema.get("additionalProperties"):
            extra = draw(st.dictionaries(st.sampled_from(["zz", "yy"]), st.integers(0, 9), max_size=1))
            value.update({name: item for name, item in extra.items() if name not in schema["properties"]})
        return value
    if kind == "array":
        count = draw(st.integers(schema.get("minItems", 0), 2 if depth < 3 else schema.get("minItems", 0)))
        items = [instance(draw, schema["items"], depth + 1) for _ in range(count)]
        return items[:1] if schema.get("uniqueItems") else items
    if kind == "string":
        if "pattern" in schema:
            return draw(st.text("ab", min_size=1, max_size=3))
        if "format" in schema:
            return draw(st.dates()).isoformat()
        return draw(TEXT)[: schema.get("maxLength", 8)]
    simple: dict[str, st.SearchStrategy[Any]] = {
        "integer": st.integers(schema.get("minimum", -99), 99),
        "number": st.sampled_from([0.5, 2, 1.25]),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    return draw(simple[kind])


def allows_null(schema: dict[str, Any]) -> bool:
    whole = {**schema, "$defs": DEFINITIONS}
    return bool(schema.get("nullable")) or Draft202012Validator(whole).is_valid(None)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], Any]:
    schema = draw(SCHEMAS)
    return schema, instance(draw, schema)


def to_inference(value: Any, node: Any, plan: SchemaPlan) -> Any:
    """The value as the model would write it: keys in order, nulls for absent ones, hidden strings."""
    definitions = plan.inference.get("$defs", {})
    if not isinstance(node, dict):
        return value
    if "$ref" in node:
        return to_inference(value, definitions[node["$ref"].rpartition("/")[2]], plan)
    if "anyOf" in node:
        for option in node["anyOf"]:
            written = to_inference(value, option, plan)
            if Draft202012Validator({**option, "$defs": definitions}).is_valid(written):
                return written
        pytest.fail(f"{value} is under no alternative of {node}")
    if isinstance(value, list):
        return [to_inference(item, node.get("items"), plan) for item in value]
    if not isinstance(value, dict):
        return value
    written = {}
    for name, child in node.get("properties", {}).items():
        if name in value:
            written[name] = to_inference(value[name], child, plan)
        elif name in node.get("required", ()):
            written[name] = "because" if child.get("maxLength") in (200, 300) else None
    return written | {name: item for name, item in value.items() if name not in written}


def matcher(plan: SchemaPlan) -> LLMatcher:
    made = LLMatcher(BYTES, plan.grammar, log_level=0)
    assert not made.is_error(), made.get_error()
    return made


def plan_of(schema: dict[str, Any]) -> SchemaPlan:
    return plan_schema(load_schema(schema, settings=SETTINGS), settings=SETTINGS)


@given(pairs())
@QUICK
def test_every_instance_can_be_written_and_comes_back(pair: tuple[dict[str, Any], Any]) -> None:
    schema, value = pair
    plan = plan_of(schema)
    plan.validate(value)
    written = to_inference(value, plan.inference, plan)
    data = list(json.dumps(written, ensure_ascii=False, separators=SEPARATORS).encode())
    made = matcher(plan)
    accepted = made.try_consume_tokens(data)
    assert bytes(data[accepted:]) == b""
    assert made.is_accepting()
    assert plan.to_caller(written) == value


@given(SCHEMAS)
@QUICK
def test_the_template_names_every_property(schema: dict[str, Any]) -> None:
    plan = plan_of(schema)
    for name in schema["properties"]:
        assert json.dumps(name, ensure_ascii=False) in plan.template
    assert plan_of(schema) == plan


@given(SCHEMAS, st.integers(0, 2**32))
@QUICK
def test_whatever_the_grammar_lets_through_is_valid_but_for_deferred_keywords(
    schema: dict[str, Any], seed: int
) -> None:
    plan = plan_of(schema)
    value = json.loads(walk(matcher(plan), random.Random(seed)), parse_float=finite)
    shown = plan.to_caller(value)
    deferred = {item.keyword for item in plan.deferred}
    unions = {"anyOf", "oneOf"} if deferred else set()  # what they hold may be deferred
    assert broken(plan, shown) <= deferred | unions


def finite(text: str) -> float:
    """The number, or the end of the range for 1e999, which is valid JSON and is refused by ``validate``."""
    return max(-1e300, min(1e300, float(text)))


def broken(plan: SchemaPlan, value: Any) -> set[str]:
    """The keywords that validation names."""
    try:
        plan.validate(value)
    except OutputValidationError as error:
        return {item["keyword"] for item in error.details["problems"]}
    return set()


def walk(made: LLMatcher, choice: random.Random) -> bytes:
    """Random bytes of the grammar; after a while those that end the value soonest."""
    written = bytearray()
    while not made.is_stopped():
        mask = made.compute_logit_bias()
        allowed = [byte for byte in range(256) if mask[byte]]
        if made.is_accepting() and (not allowed or len(written) > 200):
            break
        closing = [byte for byte in b'"}],:1n0' if byte in allowed]
        byte = closing[0] if closing and (len(written) > 200 or choice.random() < 0.3) else choice.choice(allowed)
        assert made.consume_token(byte)
        written.append(byte)
        assert len(written) < 20_000
    return bytes(written)
