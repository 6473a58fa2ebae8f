"""The arithmetic of the bench; what it measures, it measures when it runs."""

from __future__ import annotations

from pathlib import Path

import bench
import pytest
from bench import PEERS, Report, Run, Worker, figures, first_chunk, phases, ratios, total
from bench_engines import ENGINES, peak_rss

from local_retab.wire import Usage


def run(phase: str, seconds: float, **counts: float) -> Run:
    return Run(phase, "a.pdf", first_chunk=seconds / 2, total=seconds, **counts)  # type: ignore[arg-type]


OURS = Report(
    "ours",
    1.0,
    runs=[
        run(
            "cold",
            10.0,
            prompt_tokens=1000,
            cached_prompt_tokens=0,
            output_tokens=100,
            forced_output_tokens=40,
            draft_tokens=40,
            accepted_draft_tokens=30,
            decode_calls=60,
            prefill_seconds=8.0,
            decode_seconds=2.0,
            grammar_seconds=0.01,
        ),
        run(
            "warm-schema",
            4.0,
            prompt_tokens=1000,
            cached_prompt_tokens=600,
            output_tokens=50,
            forced_output_tokens=20,
            decode_calls=30,
            prefill_seconds=2.0,
            decode_seconds=1.0,
            grammar_seconds=0.005,
        ),
        run("warm-schema", 6.0),
        run("repeat", 2.0),
    ],
)
PEER = Report(
    "peer", 2.0, runs=[run("cold", 25.0), run("warm-schema", 10.0), run("warm-schema", 20.0), run("repeat", 5.0)]
)


def test_figures_are_over_all_runs_and_count_what_was_computed() -> None:
    assert figures(OURS) == pytest.approx(
        {
            "prefill_tokens_per_second": (1000 + 400) / 10.0,
            "decode_tokens_per_second": 150 / 3.0,
            "decode_calls_per_output_token": 90 / 150,
            "jump_forward_share": 60 / 150,
            "draft_share": 30 / 150,
            "draft_acceptance": 30 / 40,
            "grammar_milliseconds_per_output_token": 15 / 150,
            "share_of_time_outside_llama_cpp": 1 - 13 / 22,
            "cached_prompt_share": 600 / 2000,
        }
    )


def test_a_phase_is_the_sum_of_its_documents() -> None:
    assert [total(OURS, phase) for phase in ("cold", "warm-schema", "repeat", "other")] == [10.0, 10.0, 2.0, 0]


def test_a_single_document_has_no_ratio_for_the_next_ones() -> None:
    def without(report: Report) -> Report:
        return Report(report.engine, 1.0, runs=[run for run in report.runs if run.phase != "warm-schema"])

    assert ratios(without(OURS), without(PEER)) == {"cold": 2.5, "repeat": 2.5}


def test_ratios_say_how_many_times_as_long_the_peer_takes() -> None:
    assert ratios(OURS, PEER) == {"cold": 2.5, "warm-schema": 3.0, "repeat": 2.5}


def test_the_first_chunk_of_a_phase_is_the_median_of_its_documents() -> None:
    assert first_chunk(OURS, "warm-schema") == 2.5


def test_every_engine_that_is_compared_can_be_run() -> None:
    assert set(ENGINES) == {bench.OURS, *PEERS}


def test_on_a_gpu_only_peers_that_use_it_are_compared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("local_retab.engine.llama.supports_gpu", lambda: False)
    assert bench.comparable(PEERS) == PEERS
    monkeypatch.setattr("local_retab.engine.llama.supports_gpu", lambda: True)
    assert bench.comparable(PEERS) == ("llama-cpp-python", "outlines")
    assert "llama.cpp server is left out" in capsys.readouterr().err


def test_an_engine_that_fails_says_so_and_ends_the_bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_RETAB_HOME", str(tmp_path))
    with pytest.raises(SystemExit, match="ended with status 1"):
        Worker(bench.OURS, {"model": "no-such-model"})
    assert "no-such-model" in capfd.readouterr().err


def test_the_phases_of_five_documents_and_of_one() -> None:
    names = [Path(name) for name in "abc"]
    assert [(phase, path.name) for phase, path in phases(names)] == [
        ("cold", "a"),
        ("warm-schema", "b"),
        ("warm-schema", "c"),
        ("repeat", "c"),
    ]
    assert [phase for phase, _ in phases(names[:1])] == ["cold", "repeat"]


def test_every_count_of_a_usage_is_a_field_of_a_run() -> None:
    counts = Usage(prompt_tokens=3, output_tokens=2).model_dump(exclude={"credits", "queue_seconds"})
    made = Run("cold", "a.pdf", 0.1, 0.2, **counts)
    assert (made.prompt_tokens, made.output_tokens) == (3, 2)
    assert None not in [getattr(made, name) for name in counts]


def test_peak_memory_is_in_bytes() -> None:
    assert 10 * 2**20 < peak_rss() < 2**40
