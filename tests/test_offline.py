"""An extraction opens no connection: with sockets disabled in this process, and without any network at all."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest
from reportlab.pdfgen.canvas import Canvas
from scripted_service import SCHEMA, VALUE, ScriptedService

from local_retab import Extraction, Retab, Settings
from local_retab.errors import RemoteFetchDisabledError

ROOT = Path(__file__).resolve().parents[1]
SMALL = {
    "type": "object",
    "properties": {"number": {"type": "string", "maxLength": 12}, "total": {"type": "number", "maximum": 9999}},
    "required": ["number", "total"],
    "additionalProperties": False,
}


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "note.pdf"
    canvas = Canvas(str(path), pagesize=(300, 200))
    canvas.drawString(20, 150, "Invoice number: INV-1")
    canvas.drawString(20, 130, "Total: 12.50")
    canvas.save()
    return path


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whatever would reach for the network raises, and is noted should somebody swallow that."""
    attempts: list[str] = []

    def refuse(name: str) -> Any:
        def call(*arguments: object, **options: object) -> NoReturn:
            attempts.append(f"{name}{arguments}")
            raise AssertionError(f"{name} was called")

        return call

    for name in ("create_connection", "create_server", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse(name))
    # A pair of connected local sockets, over which documents go to the process that parses them, reaches nobody else.
    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse(name))
    return attempts


def test_the_guard_guards(no_sockets: list[str]) -> None:
    import urllib.request

    with pytest.raises(AssertionError):
        urllib.request.urlopen("http://127.0.0.1:9/", timeout=1)
    assert no_sockets


def test_a_whole_extraction_opens_no_socket(no_sockets: list[str], tmp_path: Path, note: Path) -> None:
    with Retab(transport=ScriptedService(tmp_path)) as client:
        stream = client.extractions.create_stream(note, SCHEMA)
        *_, last = stream
    assert isinstance(last, Extraction)
    assert last.output == VALUE
    assert no_sockets == []


def test_neither_a_schema_nor_a_document_is_fetched(no_sockets: list[str], tmp_path: Path, note: Path) -> None:
    remote = {**SCHEMA, "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.com/a.json"}
    with Retab(transport=ScriptedService(tmp_path)) as client:
        assert client.extractions.create(note, remote).output == VALUE
        with pytest.raises(RemoteFetchDisabledError):
            client.extractions.create("https://example.com/a.pdf", SCHEMA)
    assert no_sockets == []


@pytest.mark.smol
def test_a_real_model_opens_no_socket(no_sockets: list[str], smol: Path, note: Path, tmp_path: Path) -> None:
    with Retab(Settings(home=tmp_path, context_tokens=1024, threads=1)) as client:
        extraction = client.extractions.create(note, SMALL, model=str(smol))
    assert isinstance(extraction.output, dict)
    assert extraction.output.keys() == {"number", "total"}
    assert no_sockets == []


def without_network() -> list[str]:
    """A command prefix that takes the network away, or a skip that says why there is none."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare command here to make a network namespace with")
    # Root can; others can where user namespaces are allowed.
    for prefix in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        tried = subprocess.run([*prefix, "true"], check=False, capture_output=True, text=True)
        if tried.returncode == 0:
            return prefix
    pytest.skip(f"the kernel allows no network namespace here: {tried.stderr.strip()}")


@pytest.mark.smol
def test_the_program_extracts_in_a_network_namespace_that_has_no_network(
    smol: Path, note: Path, tmp_path: Path
) -> None:
    prefix = without_network()
    reach = "import socket; socket.create_connection(('192.0.2.1', 80), 5)"
    cut_off = subprocess.run([*prefix, sys.executable, "-c", reach], check=False, capture_output=True, timeout=60)
    assert b"Network is unreachable" in cut_off.stderr
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(SMALL))
    program = [sys.executable, "-c", "from local_retab.cli import main; main()"]
    arguments = ["extract", str(note), "--schema", str(schema), "--model", str(smol), "--json"]
    done = subprocess.run(
        [*prefix, *program, *arguments],
        cwd=ROOT,
        env=os.environ | {"LOCAL_RETAB_HOME": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (done.returncode, done.stderr) == (0, "")
    extraction = Extraction.model_validate_json(done.stdout)
    assert isinstance(extraction.output, dict)
    assert extraction.output.keys() == {"number", "total"}
