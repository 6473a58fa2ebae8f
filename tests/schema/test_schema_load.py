"""Schemas in every form users have them, and the ones that are refused."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from local_retab.errors import InvalidSchemaError, SchemaError, UnsupportedSchemaError
from local_retab.schema import load_schema
from local_retab.settings import Settings

SETTINGS = Settings()
NAMED = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


class Invoice(BaseModel):
    number: str
    total: Annotated[float, Field(ge=0)]


@dataclass
class Party:
    name: str
    city: str | None = None


class Line(TypedDict):
    text: str
    amount: float


def lookup(name: str, limit: int = 3) -> None:
    """A function whose parameters are the fields."""


def load(source: Any) -> dict[str, Any]:
    return load_schema(source, settings=SETTINGS)


def test_a_dict_is_copied() -> None:
    loaded = load(NAMED)
    assert loaded == NAMED
    loaded["properties"]["name"]["type"] = "number"
    assert NAMED["properties"] == {"name": {"type": "string"}}


INNER = {"type": "object", "properties": {"total": {"type": "number"}}}


@pytest.mark.parametrize(
    "wrapper",
    [
        {"name": "invoice", "strict": True, "schema": INNER},
        {"type": "json_schema", "json_schema": {"name": "invoice", "schema": INNER}},
        {"name": "invoice", "description": "Of suppliers", "schema_definition": INNER},
        {"name": "read", "description": "Reads", "parameters": INNER},
        {"name": "read", "input_schema": INNER},
    ],
)
def test_a_schema_in_a_wrapper_is_the_one_that_is_meant(wrapper: dict[str, Any]) -> None:
    assert load(wrapper) == INNER
    assert load(json.dumps(wrapper)) == INNER


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "schema": INNER},
        {"schema": INNER, "properties": {}},
        {"schema": INNER, "parameters": INNER},
        {"schema": {"anything": 1}},
        {"schema": True},
        {"properties": {"schema": INNER}},
    ],
)
def test_what_is_more_than_a_wrapper_stays(schema: dict[str, Any]) -> None:
    assert load(schema) == schema


def test_wrappers_in_wrappers_are_too_deep_like_other_nesting() -> None:
    with pytest.raises(InvalidSchemaError, match="nested deeper"):
        load('{"schema":' * 900 + json.dumps(INNER) + "}" * 900)


def test_text_and_files(tmp_path: Path) -> None:
    text = json.dumps(NAMED)
    path = tmp_path / "schema.json"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load(" \n" + text) == load(path) == load(str(path)) == NAMED


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (Invoice, ["number", "total"]),
        (Party, ["name", "city"]),
        (Line, ["text", "amount"]),
        (lookup, ["name", "limit"]),
    ],
)
def test_python_types(source: Any, names: list[str]) -> None:
    assert list(load(source)["properties"]) == names


def test_other_types_keep_their_schema() -> None:
    assert load(list[Invoice])["items"] == {"$ref": "#/$defs/Invoice"}
    assert load(Literal["a", "b"])["enum"] == ["a", "b"]


@pytest.mark.parametrize("source", [True, None, 3, [NAMED], object(), b"{}"])
def test_what_is_no_schema_is_refused(source: Any) -> None:
    with pytest.raises(InvalidSchemaError):
        load(source)


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "objekt"}, "/type"),
        ({"properties": {"a/b": {"minLength": -1}}}, "/properties/a~1b/minLength"),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "required": []}, "/required"),
    ],
)
def test_the_error_names_the_path(schema: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidSchemaError) as caught:
        load(schema)
    assert path in caught.value.message
    assert caught.value.details["problems"][0]["path"] == path


@pytest.mark.parametrize(
    "schema",
    [
        {"const": float("nan")},
        {"const": "\ud800"},
        {"const": {1, 2}},
    ],
)
def test_what_is_not_json_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidSchemaError, match="is not JSON"):
        load(schema)


def test_a_cycle_of_objects_is_refused() -> None:
    schema: dict[str, Any] = {"properties": {}}
    schema["properties"]["self"] = schema
    with pytest.raises(InvalidSchemaError, match="is not JSON"):
        load(schema)


def test_limits() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(SETTINGS.max_schema_depth + 1):
        deep = {"properties": {"a": deep}}
    with pytest.raises(InvalidSchemaError, match="max_schema_depth"):
        load(deep)
    with pytest.raises(InvalidSchemaError, match="max_schema_bytes"):
        load_schema(NAMED, settings=Settings(max_schema_bytes=20))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{,}")
    (tmp_path / "latin.json").write_bytes(b'{"title": "\xe9"}')
    (tmp_path / "big.json").write_text("{" + " " * 100 + "}")
    for name, reason in (("none.json", "cannot be read"), ("bad.json", "not JSON"), ("latin.json", "UTF-8")):
        with pytest.raises(InvalidSchemaError, match=reason) as caught:
            load(tmp_path / name)
        assert name in caught.value.message
    with pytest.raises(InvalidSchemaError, match="more than 80 bytes"):
        load_schema(tmp_path / "big.json", settings=Settings(max_schema_bytes=20))


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ("https://example.com/other.json", UnsupportedSchemaError),
        ("other.json#/a", UnsupportedSchemaError),
        ("file:///etc/passwd", UnsupportedSchemaError),
        ("#/$defs/missing", InvalidSchemaError),
        ("#nowhere", InvalidSchemaError),
    ],
)
def test_references_that_lead_nowhere(reference: str, error: type[SchemaError]) -> None:
    with pytest.raises(error) as caught:
        load({"properties": {"a": {"$ref": reference}}})
    assert caught.value.details["problems"] == [{"path": "/properties/a", "keyword": "$ref", "reason": reference}]


def test_a_remote_reference_below_an_unknown_keyword_is_found() -> None:
    with pytest.raises(UnsupportedSchemaError):
        load({"$ref": "#/components/x", "components": {"x": {"items": {"$ref": "https://example.com/y"}}}})


def test_local_identifiers_and_anchors_resolve() -> None:
    schema = {
        "$id": "https://example.com/root",
        "properties": {"a": {"$ref": "party"}, "b": {"$ref": "#here"}, "c": {"$ref": "party#there"}},
        "$defs": {
            "p": {"$id": "party", "type": "string", "$defs": {"t": {"$anchor": "there"}}},
            "h": {"$anchor": "here"},
        },
    }
    assert load(schema) == schema


def test_a_property_called_ref_is_no_reference() -> None:
    schema = {"properties": {"$ref": {"type": "string"}}, "enum": [{"$ref": "https://example.com"}]}
    assert load(schema) == schema
