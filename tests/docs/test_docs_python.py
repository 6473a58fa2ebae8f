"""The Python programs in the documents run as they are printed, on an engine that follows a script."""

from __future__ import annotations

import json
import re
import runpy
import struct
from pathlib import Path

import pytest
from scripted_backend import ScriptedBackend

import local_retab.service
from local_retab.engine.engine import Engine
from local_retab.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
VALUE = {"invoice_number": "HB-2025-0417", "total": 5538.58}
PROGRAMS = [
    pytest.param(block, id=f"{document.name}-{number}")
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for number, block in enumerate(BLOCK.findall(document.read_text(encoding="utf-8")), start=1)
]


class Scripted(local_retab.service.ExtractionService):
    """The service with an engine that answers every document with what of VALUE the prompt asks for."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, open_engine=lambda _path: open_scripted())


def open_scripted() -> Engine:
    def script(prompt: str) -> str:
        return json.dumps({name: value for name, value in VALUE.items() if f'"{name}"' in prompt})

    return Engine(ScriptedBackend(script), max_sequences=1, prefill_chunk=64)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_the_documents_runs(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCAL_RETAB_HOME", str(tmp_path))
    monkeypatch.setenv("LOCAL_RETAB_MODEL_SMALL", str(tmp_path / "model.gguf"))
    (tmp_path / "model.gguf").write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 1, 1))
    monkeypatch.setattr(local_retab.service, "ExtractionService", Scripted)
    runpy.run_path(str(ROOT / "scripts" / "make_sample_invoice.py"))["make"](tmp_path / "Invoice.pdf")
    (tmp_path / "schema.json").write_text(
        '{"type": "object", "properties": {"invoice_number": {"type": "string"}, "total": {"type": "number"}}, '
        '"required": ["invoice_number", "total"], "additionalProperties": false}'
    )
    (tmp_path / "program.py").write_text(program)
    found = runpy.run_path(str(tmp_path / "program.py"), run_name="__main__")
    if "print(" in program:
        assert str(VALUE["total"]) in capsys.readouterr().out
    if "invoice" in found:
        assert (found["invoice"].invoice_number, found["invoice"].total) == tuple(VALUE.values())


def test_the_readme_has_programs() -> None:
    assert sum(param.id is not None and param.id.startswith("README") for param in PROGRAMS) >= 3
