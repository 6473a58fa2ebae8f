"""A batch: every document gets its record once, whatever happens in between."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import scripted_cli
from scripted_cli import VALUE, Inputs, Result

from local_retab.batch import Journal, Plan, Record
from local_retab.errors import RequestError
from local_retab.settings import Settings

Run = Callable[..., Result]
PROGRAM = Path(scripted_cli.__file__)


def records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def folder(inputs: Inputs) -> Path:
    """Five readable documents, one that is damaged, and a file that is no document."""
    folder = inputs.folder / "documents"
    (folder / "inner").mkdir(parents=True)
    for index in range(4):
        (folder / f"{index}.txt").write_text(f"Invoice {index}")
    (folder / "inner" / "4.csv").write_text("Invoice,4\n")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    (folder / "program.exe").write_bytes(b"MZ")
    (folder / ".hidden.txt").write_text("hidden")
    return folder


def batch(inputs: Inputs, *arguments: object) -> list[str]:
    return ["batch", *map(str, arguments), "--schema", str(inputs.schema), "--model", str(inputs.model)]


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_document_of_a_folder_gets_a_record(run: Run, inputs: Inputs, folder: Path, jobs: int) -> None:
    out = inputs.folder / "results.jsonl"
    result = run(*batch(inputs, folder, "--out", out, "--jobs", jobs))
    assert (result.code, result.out) == (1, "")
    assert "6 documents, 1 with an error" in result.err
    found = {Path(str(record["document"])).name: record for record in records(out)}
    assert sorted(found) == ["0.txt", "1.txt", "2.txt", "3.txt", "4.csv", "broken.pdf"]
    assert len(records(out)) == 6
    broken = found.pop("broken.pdf")
    assert (broken["status"], broken["output"], broken["error"]["code"]) == ("failed", None, "CORRUPT_DOCUMENT")
    assert all((record["status"], record["output"]) == ("completed", VALUE) for record in found.values())


def test_the_same_command_again_does_nothing_and_failed_ones_can_be_tried_again(
    run: Run, inputs: Inputs, folder: Path
) -> None:
    out = inputs.folder / "results.jsonl"
    arguments = batch(inputs, folder, "--out", out)
    run(*arguments)
    before = out.read_bytes()
    assert run(*arguments).code == 1
    assert out.read_bytes() == before
    (folder / "broken.pdf").unlink()
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 other")
    assert run(*arguments, "--retry-failed").code == 1
    assert len(records(out)) == 6


def test_patterns_manifests_and_files_that_are_not_there(run: Run, inputs: Inputs, folder: Path) -> None:
    manifest = inputs.folder / "list"
    manifest.write_text("# two\ndocuments/0.txt\n\ndocuments/missing.txt\n")
    out = inputs.folder / "results.jsonl"
    result = run(*batch(inputs, folder / "**" / "*.csv", f"@{manifest}", folder / "0.txt", "--out", out))
    assert result.code == 1
    statuses = [(Path(str(record["document"])).name, record["status"]) for record in records(out)]
    assert statuses == [("4.csv", "completed"), ("0.txt", "completed"), ("missing.txt", "failed")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing/*.pdf", "--out", "a.jsonl"], "no file matches this pattern"),
        (["@nothing", "--out", "a.jsonl"], "the manifest cannot be read"),
        (["x.txt", "--out", "a.csv"], "has to end with .jsonl or .parquet"),
        (["x.txt", "--out", "a.jsonl", "--pages", "0"], "is not a page"),
        (["x.txt", "--out", "a.jsonl", "--dpi", "5"], "image_resolution_dpi"),
        (["x.txt", "--out", "no/such/folder/a.jsonl"], "cannot be written"),
    ],
)
def test_wrong_requests_end_before_anything_is_done(
    run: Run, inputs: Inputs, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(inputs.folder)
    result = run(*batch(inputs, *arguments))
    assert result.code == 2
    assert message in result.err


def test_records_of_another_schema_are_not_mixed(run: Run, inputs: Inputs, folder: Path) -> None:
    out = inputs.folder / "results.jsonl"
    run(*batch(inputs, folder / "0.txt", "--out", out))
    result = run(*batch(inputs, folder / "0.txt", "--out", out, "--instructions", "Be brief."))
    assert result.code == 2
    assert "was made with another schema, model or options" in result.err
    assert run(*batch(inputs, folder / "1.txt", "--out", out, "--instructions", "Be brief.", "--restart")).code == 0
    assert [Path(str(record["document"])).name for record in records(out)] == ["1.txt"]


def test_a_model_that_is_missing_stops_the_batch(run: Run, inputs: Inputs, folder: Path) -> None:
    out = inputs.folder / "results.jsonl"
    result = run("batch", folder, "--schema", inputs.schema, "--out", out, "--model", "no-such-model")
    assert result.code == 5
    assert out.read_bytes() == b""


def test_parquet_holds_the_same_records(run: Run, inputs: Inputs, folder: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    out = inputs.folder / "results.parquet"
    assert run(*batch(inputs, folder, "--out", out)).code == 1
    rows = parquet.read_table(out).to_pylist()
    assert len(rows) == 6
    assert {row["status"]: row["error_code"] for row in rows} == {"completed": None, "failed": "CORRUPT_DOCUMENT"}
    assert [json.loads(row["output"]) for row in rows if row["output"]] == [VALUE] * 5
    before = out.read_bytes()
    assert run(*batch(inputs, folder, "--out", out)).code == 1
    assert parquet.read_table(out).to_pylist() == rows
    assert before


def test_killed_at_any_moment_nothing_is_lost_or_done_twice(inputs: Inputs) -> None:
    folder = inputs.folder / "many"
    folder.mkdir()
    for index in range(60):
        (folder / f"{index:02}.txt").write_text(f"Invoice {index}")
    out = inputs.folder / "results.jsonl"
    command = [sys.executable, str(PROGRAM), "answers", *batch(inputs, folder, "--out", out, "--jobs", 2)]
    done = 0
    for _ in range(5):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Killed when it has added a few records, wherever it is then.
        target = done + 7
        while done < target and process.poll() is None:
            done = out.read_bytes().count(b"\n") if out.exists() else 0
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert 0 < done < 60
    finished = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    found = [str(record["document"]) for record in records(out)]
    assert sorted(found) == [str(path) for path in sorted(folder.iterdir())]
    assert all(record["output"] == VALUE for record in records(out))


# The journal


@pytest.fixture
def plan(inputs: Inputs) -> Plan:
    return Plan.make(["a", "b", "c"], inputs.schema, settings=Settings(), fields={"model": "m"})


def record(document: str, status: str = "completed") -> Record:
    return Record.model_validate({"document": document, "status": status, "output": {"text": "line\u2028end"}})


def test_a_line_that_was_cut_off_at_any_byte_is_dropped(tmp_path: Path, plan: Plan) -> None:
    out = tmp_path / "out.jsonl"
    with Journal.open(out, plan) as journal:
        journal.append(record("a"))
        whole = out.read_bytes()
        journal.append(record("b"))
    both = out.read_bytes()
    for cut in range(len(whole), len(both)):
        out.write_bytes(both[:cut])
        with Journal.open(out, plan) as journal:
            assert journal.missing(plan) == ["b", "c"]
            assert out.read_bytes() == whole
    out.write_bytes(both)
    with Journal.open(out, plan) as journal:
        assert journal.missing(plan) == ["c"]


def test_a_second_run_on_the_same_output_is_kept_out(tmp_path: Path, plan: Plan) -> None:
    out = tmp_path / "out.jsonl"
    with Journal.open(out, plan), pytest.raises(RequestError, match="another batch is writing"):
        Journal.open(out, plan)


def test_a_damaged_journal_is_an_error(tmp_path: Path, plan: Plan) -> None:
    out = tmp_path / "out.jsonl"
    with Journal.open(out, plan) as journal:
        journal.append(record("a"))
    out.write_bytes(b"{}\n" + out.read_bytes())
    with pytest.raises(RequestError, match="line 1 is not a record of a batch"):
        Journal.open(out, plan)


def test_somebody_elses_file_is_not_touched(tmp_path: Path, plan: Plan) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("mine\n")
    with pytest.raises(RequestError, match="it exists, and was made with another"):
        Journal.open(out, plan)
    assert out.read_text() == "mine\n"
