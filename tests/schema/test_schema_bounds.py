"""Schemas made to be expensive end with a plan or a typed error, within time and memory that the kernel keeps."""

from __future__ import annotations

import sys

import pytest
from schema_bounds import CASES, run

REFUSED = {"300 definitions in a circle", "nesting 100 deep", "nesting 200 deep", "nesting 5,000 deep"}


@pytest.mark.skipif(sys.platform != "linux", reason="no other system keeps a limit on memory")
@pytest.mark.parametrize("name", CASES)
def test_an_expensive_schema_stays_within_its_bounds(name: str) -> None:
    found = run(name)
    assert found.returncode == 0, found.stderr[-2000:]
    outcome = found.stdout.splitlines()[-1]
    assert outcome in ({"InvalidSchemaError", "UnsupportedSchemaError"} if name in REFUSED else {"planned"})
