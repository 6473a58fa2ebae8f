"""Schema plans for parts of a document and parts of the value, made from the plan of the whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from local_retab.schema import for_parts, item_schema, keys_schema, only, plan_schema, without

if TYPE_CHECKING:
    from local_retab.extraction.task import Task
    from local_retab.schema import SchemaPlan


def parts_plan(task: Task) -> SchemaPlan:
    """For one part of the document: what it does not state may be null."""
    return _planned(task, for_parts(task.plan.original))


def rest_plan(task: Task, paths: Iterable[str]) -> SchemaPlan | None:
    """For one part of the document, without the arrays at ``paths``; None where nothing is left."""
    schema = task.plan.original
    for path in paths:
        schema = without(schema, path)
    return _planned(task, for_parts(schema)) if schema["properties"] else None


def keys_plan(task: Task, path: str, key: str) -> SchemaPlan:
    """For the keys of the array at ``path`` in one part of the document."""
    return _planned(task, for_parts(keys_schema(task.plan.original, path, key)))


def item_plan(task: Task, path: str) -> SchemaPlan:
    """For one item of the array at ``path``."""
    return _planned(task, item_schema(task.plan.original, path))


def stated_plan(task: Task, names: Collection[str]) -> SchemaPlan:
    """For some properties of the whole that must have a value."""
    return _planned(task, only(task.plan.original, names))


def _planned(task: Task, schema: dict[str, Any]) -> SchemaPlan:
    absent_null = task.plan.held is not task.plan.original
    return plan_schema(schema, settings=task.settings, absent_null=absent_null)
