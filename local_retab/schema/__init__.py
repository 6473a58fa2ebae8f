"""JSON Schema in every form users have it: what the model is shown, and what it is held to."""

from local_retab.schema.deferred import Deferred
from local_retab.schema.grammar import compile_grammar
from local_retab.schema.load import SchemaSource, load_schema
from local_retab.schema.parts import (
    KEYS,
    check_keys,
    for_parts,
    has_array,
    item_schema,
    keys_schema,
    only,
    unstated,
    without,
)
from local_retab.schema.plan import SchemaPlan, plan_schema
from local_retab.schema.shape import OPEN, Shape, project
from local_retab.schema.template import render_template

__all__ = [
    "KEYS",
    "OPEN",
    "Deferred",
    "SchemaPlan",
    "SchemaSource",
    "Shape",
    "check_keys",
    "compile_grammar",
    "for_parts",
    "has_array",
    "item_schema",
    "keys_schema",
    "load_schema",
    "only",
    "plan_schema",
    "project",
    "render_template",
    "unstated",
    "without",
]
