"""The corpus script on a small corpus whose numbers are known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "schema_coverage.py"
CORPUS: dict[str, Any] = {
    "plain": {
        "schema": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}},
        "tests": [{"valid": True, "data": {"a": 1}}, {"valid": False, "data": {"a": None}}],
    },
    "open": {  # only a further attempt writes this instance
        "schema": {"type": "object", "properties": {"a": {"type": "integer"}}},
        "tests": [{"valid": True, "data": {"a": 1.0, "more": "x"}}],
    },
    "wrong": [  # instances that are mislabelled, so that the script has to report both
        {
            "schema": {"type": "string"},
            "tests": [{"valid": False, "data": "x"}, {"valid": True, "data": 7}],
        },
        {"schema": False, "tests": [{"valid": False, "data": 1}]},
    ],
    "refused": {"schema": {"$ref": "https://example.com/x.json"}, "tests": [{"valid": True, "data": 1}]},
    "nested/list": {
        "schema": {"type": "array", "items": {"type": "string", "format": "date"}, "minItems": 2},
        "tests": [{"valid": True, "data": ["2024-01-01", "2024-02-29"]}, {"valid": False, "data": ["2023-02-29"] * 2}],
    },
}


def test_the_numbers_are_those_of_the_corpus(tmp_path: Path) -> None:
    for name, content in CORPUS.items():
        path = tmp_path / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    (tmp_path / "notes.json").write_text('{"no": "tests"}')
    command = [sys.executable, str(SCRIPT), str(tmp_path), "--json", "--cuts", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    summary = json.loads(done.stdout.splitlines()[-1])
    cuts = summary.pop("cuts")
    expected = {
        "schemas": 6,
        "usable": 4,
        "usable_first_attempt": 3,
        "invalid_returned": 1,
        "valid_instances": 5,
        "invalid_instances": 4,
        "refused": 1,
        "refused_without_path": 0,
        "crashed": 0,
        "over_limits": 0,
    }
    assert {key: summary[key] for key in expected} == expected
    assert cuts["made"] == 9
    assert cuts["valid"] + cuts["refused"] + cuts["not_closed"] == 9
    assert cuts["valid"] == 9
