"""``local-retab extract`` over a scripted engine: streams, files, errors and their exit codes."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
from collections.abc import Callable
from typing import Any

import pytest
from scripted_backend import ScriptedBackend
from scripted_cli import SCHEMA, VALUE, Inputs, Result, scripted_service

from local_retab.errors import EngineError
from local_retab.wire import Extraction

Run = Callable[..., Result]

PRETTY = """{
  "number": "INV-1é\\u2028",
  "total": 12.5,
  "lines": [
    {
      "code": "A",
      "amount": 1
    },
    {
      "code": "B",
      "amount": 2
    }
  ]
}
"""


def answer_with(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> None:
    monkeypatch.setattr("local_retab.cli.extract.open_service", scripted_service(*arguments))


def refuse_to_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(_backend: ScriptedBackend) -> None:
        pytest.fail("the model was loaded")

    answer_with(monkeypatch, "{}", prepare)


def continues(before: Any, after: Any) -> bool:
    """Whether ``after`` shows everything that ``before`` shows."""
    if isinstance(before, dict):
        return isinstance(after, dict) and all(k in after and continues(v, after[k]) for k, v in before.items())
    if isinstance(before, list):
        return (
            isinstance(after, list) and len(after) >= len(before) and all(map(continues, before, after[: len(before)]))
        )
    if isinstance(before, str):
        return isinstance(after, str) and after.startswith(before)
    return bool(before == after)


def test_without_a_terminal_only_the_output_is_printed(run: Run, inputs: Inputs) -> None:
    assert run(*inputs.arguments) == Result(0, PRETTY, "")


def test_an_answer_that_is_there_loads_no_model(run: Run, inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(*inputs.arguments).code == 0
    refuse_to_open(monkeypatch)
    assert run(*inputs.arguments) == Result(0, PRETTY, "")


def test_the_schema_itself_does_for_a_file(run: Run, inputs: Inputs) -> None:
    arguments = [inputs.schema.read_text() if each == str(inputs.schema) else each for each in inputs.arguments]
    assert run(*arguments) == Result(0, PRETTY, "")


def test_json_is_the_whole_extraction(run: Run, inputs: Inputs) -> None:
    result = run(*inputs.arguments, "--json", "--instructions", "Be exact.", "--dpi", "96")
    extraction = Extraction.model_validate_json(result.out)
    assert (result.code, result.err) == (0, "")
    assert extraction.output == VALUE
    assert extraction.status == "completed"
    assert extraction.instructions == "Be exact."
    assert extraction.file.filename == "invoice.txt"
    assert json.loads(result.out)["json_schema"] == SCHEMA


def test_ndjson_lines_only_grow_and_end_with_the_extraction(run: Run, inputs: Inputs) -> None:
    result = run(*inputs.arguments, "--ndjson")
    assert (result.code, result.err) == (0, "")
    assert result.out.isascii()
    *partials, last = [json.loads(line) for line in result.out.splitlines()]
    assert len(partials) >= 10
    assert {partial["status"] for partial in partials} == {"in_progress"}
    assert len({chunk["id"] for chunk in [*partials, last]}) == 1
    outputs = [chunk["output"] for chunk in [*partials, last]]
    assert all(map(continues, outputs, outputs[1:]))
    assert Extraction.model_validate(last).output == VALUE


@pytest.mark.parametrize("options", [[], ["--json"], ["--ndjson"]])
def test_output_goes_to_a_file(run: Run, inputs: Inputs, options: list[str]) -> None:
    target = inputs.folder / "out.json"
    before = set(inputs.folder.iterdir())
    assert run(*inputs.arguments, "--output", target, *options) == Result(0, "", "")
    assert set(inputs.folder.iterdir()) - before == {target}
    text = target.read_text()
    last = json.loads(text.splitlines()[-1] if options == ["--ndjson"] else text)
    assert (last if not options else last["output"]) == VALUE


def test_a_file_keeps_its_mode_and_a_link_its_target(run: Run, inputs: Inputs) -> None:
    target, link = inputs.folder / "out.json", inputs.folder / "link.json"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    assert run(*inputs.arguments, "--output", link).code == 0
    assert link.is_symlink()
    assert target.read_text() == PRETTY
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


@pytest.mark.parametrize("options", [[], ["--ndjson"]])
def test_after_an_error_a_file_holds_what_it_held(
    run: Run, inputs: Inputs, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    def prepare(backend: ScriptedBackend) -> None:
        def fail(_batch: object) -> None:
            if len(backend.batches) == 30:
                raise EngineError("The device is gone. Plug it in.")

        backend.before_decode = fail

    answer_with(monkeypatch, json.dumps(VALUE), prepare)
    target = inputs.folder / "out.json"
    target.write_text("old")
    before = set(inputs.folder.iterdir())
    result = run(*inputs.arguments, "--output", target, *options)
    assert (result.code, result.out) == (70, "")
    assert result.err == "error: The device is gone. Plug it in.\n"
    assert target.read_text() == "old"
    assert set(inputs.folder.iterdir()) == before


def test_a_pipe_is_written_and_not_replaced(run: Run, inputs: Inputs) -> None:
    pipe = inputs.folder / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert run(*inputs.arguments, "--output", pipe).code == 0
        assert os.read(reader, 10_000).decode() == PRETTY
    finally:
        os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize("target", ["", "missing/out.json"])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    run: Run, inputs: Inputs, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    refuse_to_open(monkeypatch)
    result = run(*inputs.arguments, "--output", inputs.folder / target)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"error: --output {inputs.folder / target}".removesuffix("/"))


def test_standard_input_with_a_name(run: Run, inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Invoice INV-1")))
    arguments = ["-" if text == str(inputs.document) else text for text in inputs.arguments]
    result = run(*arguments, "--filename", "scan.txt", "--json")
    assert json.loads(result.out)["file"]["filename"] == "scan.txt"


def _missing_document(inputs: Inputs) -> None:
    inputs.document.unlink()


def _empty_document(inputs: Inputs) -> None:
    inputs.document.write_bytes(b"")


def _missing_schema(inputs: Inputs) -> None:
    inputs.schema.unlink()


def _wrong_schema(inputs: Inputs) -> None:
    inputs.schema.write_text('{"type": "objekt"}')


def _missing_model(inputs: Inputs) -> None:
    inputs.model.unlink()


def _wrong_model(inputs: Inputs) -> None:
    inputs.model.write_text("not a model")


@pytest.mark.parametrize(
    ("spoil", "code", "named"),
    [
        (_missing_document, 3, "invoice.txt"),
        (_empty_document, 3, "invoice.txt"),
        (_missing_schema, 4, "schema.json"),
        (_wrong_schema, 4, "schema.json"),
        (_missing_model, 5, "model.gguf"),
        (_wrong_model, 5, "model.gguf"),
    ],
)
def test_bad_input_is_one_line_and_its_exit_code(
    run: Run,
    inputs: Inputs,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Inputs], None],
    code: int,
    named: str,
) -> None:
    refuse_to_open(monkeypatch)
    spoil(inputs)
    result = run(*inputs.arguments)
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith("error: ")
    assert named in result.err
    assert result.err.count("\n") == 1


def test_an_output_that_breaks_the_schema_ends_with_6(
    run: Run, inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs.schema.write_text('{"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}, '
                             '"uniqueItems": true}}, "required": ["a"]}')  # fmt: skip
    answer_with(monkeypatch, '{"a": [1, 1]}')
    result = run(*inputs.arguments, "--verbose")
    assert (result.code, result.out) == (6, "")
    plan, *lines = result.err.splitlines()
    assert plan.startswith("plan ")
    assert lines[0].startswith("error: ")
    assert lines[1] == "code: OUTPUT_INVALID"
    assert lines[2].startswith("path: /a keyword: uniqueItems reason: ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--json", "--ndjson"], "error: --json and --ndjson: choose one of them.\n"),
        (["--filename", "x.pdf"], "error: --filename: only for a document from standard input"),
        (["--dpi", "5"], "error: image_resolution_dpi"),
        (["--chunking-key", "lines"], "error: --chunking-key lines: write ARRAY=FIELD"),
        (["--chunking-key", "lines=id"], "error: chunking_keys: 'lines, id' has no property 'id'"),
    ],
)
def test_wrong_requests_end_with_2(run: Run, inputs: Inputs, options: list[str], message: str) -> None:
    result = run(*inputs.arguments, *options)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(message)


def test_wrong_usage_ends_with_2(run: Run, inputs: Inputs) -> None:
    assert run("extract", inputs.document).code == 2
    assert run("extract", "--no-such-option").code == 2
    assert run("nothing").code == 2


def test_a_wrong_setting_ends_with_2(run: Run, inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RETAB_MAX_PAGES", "many")
    result = run(*inputs.arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: LOCAL_RETAB_MAX_PAGES")


def test_notices_are_warnings(run: Run, inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RETAB_MAX_OUTPUT_TOKENS", "40")
    answer_with(monkeypatch, json.dumps({**VALUE, "number": "n" * 500}))
    result = run(*inputs.arguments)
    assert result.code == 0
    assert result.err.startswith("warning: OUTPUT_BUDGET_EXHAUSTED at /")
    assert json.loads(result.out)["number"].startswith("nnn")


def test_verbose_reports_what_the_run_took(run: Run, inputs: Inputs) -> None:
    result = run(*inputs.arguments, "--verbose")
    assert result.out == PRETTY
    plan, summary, prompt, output, seconds = result.err.splitlines()
    assert plan.startswith("plan     1 page at once, 0 lines that look like rows, ")
    assert summary.startswith("extr_")
    assert prompt.endswith(" 0 of them from an earlier request")
    assert "forced by the schema" in output
    assert "prefill" in seconds


def test_names_in_messages_cannot_command_the_terminal(run: Run, inputs: Inputs) -> None:
    result = run("extract", str(inputs.folder / "gone\x1b[2J\x9b.pdf"), "--schema", inputs.schema)
    assert result.code == 3
    assert result.err.replace("\n", "").isprintable()
