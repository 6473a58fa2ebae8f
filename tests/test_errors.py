"""The error tree: as drawn, and fit for the hosted clients."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest

from local_retab import errors
from local_retab.errors import EngineError, LocalRetabError, OverloadedError, StorageError, WorkerLostError


def tree(root: type[LocalRetabError]) -> Iterator[type[LocalRetabError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child)


CLASSES = list(tree(LocalRetabError))
INVALID_SCHEMA = {"SchemaError", "InvalidSchemaError"}
"""A schema that is none is the only kind of the base class, and shares its code."""


PASSING = (LocalRetabError, EngineError, WorkerLostError, StorageError, OverloadedError)
"""Faults of the machine, and what helps to repeat."""


def drawn() -> list[tuple[str, str, int]]:
    """(name, parent, status) of each line of the drawing."""
    found = []
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│ ]*)(?:[├└]── )?([A-Z]\w+Error)\b(?: +(\d{3})  \S.*)?$", line)
        if match:
            bars, name, status = match.groups()
            depth = 0 if name == "LocalRetabError" else 1 + len(bars) // 4
            path[depth:] = [name]
            found.append((name, path[depth - 1] if depth else "Exception", int(status or 500)))
    return found


def test_the_drawing_is_the_tree() -> None:
    actual = [(kind.__name__, kind.__mro__[1].__name__, kind.http_status) for kind in CLASSES]
    assert sorted(drawn()) == sorted(actual)


def test_every_error_of_the_module_is_in_the_tree() -> None:
    defined = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__ == errors.__name__
    }
    assert defined == set(CLASSES)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_each_says_when_it_is_raised_and_how_it_travels(kind: type[LocalRetabError]) -> None:
    assert kind.__doc__
    assert re.fullmatch(r"[A-Z][A-Z_]+", kind.code)
    assert 0 < kind.exit_code < 126
    error = kind("what happened", details={"field": "x"})
    assert str(error) == error.message == "what happened"
    assert error.details == {"field": "x"}
    assert kind("no details").details == {}


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in CLASSES if kind.__name__ not in INVALID_SCHEMA]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_no_permanent_failure_is_one_that_the_hosted_clients_repeat(kind: type[LocalRetabError]) -> None:
    repeated = kind.http_status >= 500 or kind.http_status == 429
    # The root is never raised itself.
    assert repeated is (kind in PASSING)


def test_exit_codes_tell_the_branches_apart() -> None:
    branches = LocalRetabError.__subclasses__()
    assert len({branch.exit_code for branch in branches}) == len(branches)
    for branch in branches:
        assert {kind.exit_code for kind in tree(branch)} == {branch.exit_code}
