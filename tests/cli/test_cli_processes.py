"""What only a process of its own shows: Ctrl-C, a reader that goes away, a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from scripted_cli import VALUE, Inputs

PROGRAM = Path(__file__).with_name("scripted_cli.py")


def command(scenario: str, inputs: Inputs, *options: object) -> list[str]:
    return [sys.executable, str(PROGRAM), scenario, *inputs.arguments, *map(str, options)]


def finished(arguments: list[str], stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, check=False, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60)


@pytest.mark.parametrize("scenario", ["interrupted", "interrupted_loading"])
def test_ctrl_c_stops_the_run_and_leaves_nothing(inputs: Inputs, scenario: str) -> None:
    done = finished(command(scenario, inputs))
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")


def test_ctrl_c_leaves_no_half_written_file(inputs: Inputs) -> None:
    before = set(inputs.folder.iterdir())
    done = finished(command("interrupted", inputs, "--ndjson", "--output", inputs.folder / "out.ndjson"))
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped\n")
    assert set(inputs.folder.iterdir()) == before


def test_a_reader_that_goes_away_ends_the_run_quietly(inputs: Inputs) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = finished(command("answers", inputs, "--ndjson"), stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_on_a_terminal_the_view_comes_first_and_the_output_stays(inputs: Inputs) -> None:
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "70", "LINES": "20"}
    process = subprocess.Popen(
        command("answers", inputs), stdin=follower, stdout=follower, stderr=follower, env=environment
    )
    os.close(follower)
    data = b""
    # Linux reports the end of a terminal as EIO.
    while block := _read(leader):
        data += block
    os.close(leader)
    assert process.wait(timeout=60) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode())
    assert text.count("\x1b") == 0
    view, _, rest = text.partition("\r{")
    assert "model · done · " in view
    assert 'number: "INV-1é' in view
    output, _, summary = rest.rpartition("}")
    assert json.loads("{" + output + "}") == VALUE
    assert re.search(r"extr_\w+ · model · \d+\.\d s · \d+ tokens", summary)
    assert data.rindex(b"\x1b[?25h") > data.rindex(b"\x1b[?25l")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""
