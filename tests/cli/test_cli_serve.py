"""``local-retab serve`` as a process: it answers, and Ctrl-C ends it and its worker."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
from scripted_cli import Result

from local_retab.storage import Database, database_path

# Whoever runs the tests in the background may ignore interrupts, which children inherit.
PROGRAM = """
import signal
from local_retab.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


def test_it_serves_until_ctrl_c(home: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "serve", "--port", "0", "--api-key", "secret"],
        env={**os.environ, "LOCAL_RETAB_HOME": str(home)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    found = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
    assert found is not None
    with httpx.Client(base_url=found[0]) as client:
        assert client.get("/v1/files").status_code == 401
        answer = client.get("/v1/files", headers={"Authorization": "Bearer secret"})
        assert (answer.status_code, answer.json()["data"]) == (200, [])
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = children.read_text().split() if children.exists() else []
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    process.stderr.close()
    pause = threading.Event()
    for _ in range(1000):
        if not [pid for pid in workers if Path(f"/proc/{pid}").exists()]:
            return
        pause.wait(0.01)
    raise AssertionError(f"{workers} outlive the server")


def test_beyond_this_machine_it_wants_a_key(run: Callable[..., Result]) -> None:
    result = run("serve", "--host", "0.0.0.0", "--port", "0")
    assert result.code == 2
    assert "no key is set" in result.err


def test_a_port_that_is_taken(run: Callable[..., Result]) -> None:
    result = run("serve", "--host", "192.0.2.1", "--api-key", "x", "--port", "0")
    assert result.code == 2
    assert "cannot be listened on" in result.err


def test_the_doctor_looks_at_the_records(run: Callable[..., Result], home: Path) -> None:
    assert json.loads(run("doctor", "--json").out)["database"] == "none yet"
    Database(database_path(home)).close()
    assert json.loads(run("doctor", "--json").out)["database"].endswith(", whole")
    database_path(home).write_bytes(b"no database" * 1000)
    result = run("doctor", "--json")
    assert json.loads(result.out)["database"] == "cannot be used"
    assert result.code != 0
