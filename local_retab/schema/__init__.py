"""JSON Schema in every form users have it: what the model is shown, and what it is held to."""

from local_retab.schema.deferred import Deferred
from local_retab.schema.grammar import compile_grammar
from local_retab.schema.load import SchemaSource, load_schema
from local_retab.schema.plan import SchemaPlan, plan_schema
from local_retab.schema.shape import OPEN, Shape, project
from local_retab.schema.template import render_template

__all__ = [
    "OPEN",
    "Deferred",
    "SchemaPlan",
    "SchemaSource",
    "Shape",
    "compile_grammar",
    "load_schema",
    "plan_schema",
    "project",
    "render_template",
]
