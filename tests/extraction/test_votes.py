"""Consensus from the engine up: votes that share one prefill, on a backend with two opinions."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scripted_backend import ANSWER as MARK
from scripted_backend import END, ScriptedBackend

from local_retab.documents import load
from local_retab.engine.engine import Engine
from local_retab.engine.sequence import Generation
from local_retab.errors import GenerationCancelledError
from local_retab.extraction.ballots import common
from local_retab.extraction.partial import MISSING, extends
from local_retab.extraction.pipeline import extract
from local_retab.extraction.task import Stop, Task
from local_retab.schema import plan_schema
from local_retab.schema.style import SEPARATORS
from local_retab.settings import Settings
from local_retab.wire import Extraction, ExtractionChunk, ExtractionParameters, now

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "number": {"type": "string"},
        "total": {"type": "number"},
        "lines": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["number", "total", "lines"],
    "additionalProperties": False,
}
SURE: dict[str, Any] = {"number": "A1", "total": 12.5, "lines": ["pen", "ink"]}


class Torn(ScriptedBackend):
    """Gives the next byte of each of its answers that fits so far the answer's weight."""

    def __init__(self, answers: dict[str, float], **options: Any) -> None:
        super().__init__(lambda prompt: "", sequences=16, **options)
        self.answers = {text.encode(): weight for text, weight in answers.items()}

    def logits(self, row: int) -> NDArray[np.float32]:
        text = bytes(token for token in self._rows[row] if token < END)
        written = text.rpartition(MARK.encode())[2]
        weights = np.full(self.info.vocabulary_size, 1e-9)
        for answer, weight in self.answers.items():
            if answer == written:
                weights[END] += weight
            elif answer.startswith(written):
                weights[answer[len(written)]] += weight
        return np.log(weights).astype(np.float32)


def torn(*answers: tuple[dict[str, Any], float]) -> Torn:
    return Torn({json.dumps(answer, separators=SEPARATORS): weight for answer, weight in answers})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, chunks_per_second=1e9)


def run(
    backend: Torn, settings: Settings, schema: dict[str, Any] = SCHEMA, *, most: int = 8, **fields: Any
) -> Iterator[ExtractionChunk]:
    document = load(b"Invoice A1, total 12.50: pen, ink", filename="a.txt", settings=settings)
    parameters = ExtractionParameters(json_schema=schema, **fields)
    task = Task("extr_1", now(), document, parameters, plan_schema(schema, settings=settings), settings, Stop())
    with Engine(backend, max_sequences=most, prefill_chunk=64) as engine:
        yield from extract(task, engine)


def final(*args: Any, **fields: Any) -> Extraction:
    *_, last = run(*args, **fields)
    assert isinstance(last, Extraction)
    return last


def test_one_answer_has_no_choices_and_a_likelihood_for_each_value(settings: Settings) -> None:
    other = {**SURE, "total": 99.5}
    result = final(torn((SURE, 0.75), (other, 0.25)), settings)
    assert result.output == SURE
    assert result.consensus is not None
    assert (result.consensus.choices, result.consensus.likelihoods) == ([], None)
    likelihoods: Any = result.likelihoods
    assert likelihoods["total"] < likelihoods["number"]
    assert likelihoods["lines"] == [pytest.approx(likelihoods["number"], abs=0.01)] * 2


def test_votes_are_counted_and_the_first_is_the_likeliest_answer(settings: Settings) -> None:
    other = {**SURE, "total": 99.5}
    result = final(torn((SURE, 0.6), (other, 0.4)), settings, n_consensus=9)
    assert result.consensus is not None
    choices: Any = result.consensus.choices
    assert len(choices) == 9
    assert choices[0] == SURE
    totals = [choice["total"] for choice in choices]
    assert set(totals) == {12.5, 99.5}
    assert result.output["total"] == max(set(totals), key=totals.count)
    assert result.consensus.likelihoods["number"] == 1.0
    agreeing = sum(math.comb(totals.count(total), 2) for total in set(totals)) / math.comb(9, 2)
    assert result.consensus.likelihoods["total"] == pytest.approx(agreeing)
    assert result.likelihoods == result.consensus.likelihoods
    assert result.n_consensus == 9


def test_votes_are_the_same_in_every_run(settings: Settings) -> None:
    answers = [({**SURE, "total": float(total)}, 0.2) for total in (11, 12, 13, 14, 15)]
    first, second = (final(torn(*answers), settings, n_consensus=6) for _ in range(2))
    assert first.consensus == second.consensus
    assert first.output == second.output


def test_all_votes_share_one_prefill(settings: Settings) -> None:
    backend = torn((SURE, 1.0))
    result = final(backend, settings, n_consensus=5)
    prompt = [entry for batch in backend.batches for entry in batch if entry.position < 40]
    computed = {(entry.sequence, entry.position) for entry in prompt}
    assert len(computed) == 40
    assert result.usage is not None
    assert result.usage.cached_prompt_tokens == 4 * (result.usage.prompt_tokens // 5 - 1)


def test_votes_wait_where_fewer_sequences_can_run(settings: Settings) -> None:
    result = final(torn((SURE, 1.0)), settings, most=2, n_consensus=5)
    assert result.consensus is not None
    assert result.consensus.choices == [SURE] * 5


def test_chunks_show_what_is_agreed_and_never_take_it_back(settings: Settings) -> None:
    others = [
        {**SURE, "number": "A17"},
        {**SURE, "lines": ["pen", "paper", "ink"]},
        {**SURE, "total": 1.0, "lines": ["nib"]},
    ]
    for count in (2, 3, 4, 7):
        backend = torn((SURE, 0.4), *((other, 0.2) for other in others))
        shown: Any = MISSING
        for chunk in run(backend, settings, n_consensus=count):
            assert extends(chunk.output, shown), f"{chunk.output} takes back {shown}"
            shown = chunk.output


def test_a_value_that_the_schema_does_not_hold_gives_way_to_the_best_vote(settings: Settings) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "required": ["a", "b"],
        # Each vote keeps to it; a majority of each field alone need not.
        "oneOf": [
            {"properties": {"a": {"const": x}, "b": {"const": y}}} for x, y in (("1", "1"), ("2", "1"), ("1", "2"))
        ],
        "additionalProperties": False,
    }
    pairs = [{"a": "1", "b": "2"}, {"a": "2", "b": "1"}, {"a": "1", "b": "1"}]
    for count in range(2, 8):
        result = final(torn(*((pair, 1 / 3) for pair in pairs)), settings, schema, n_consensus=count)
        assert result.output in pairs


def test_a_wish_to_stop_reaches_every_vote(settings: Settings) -> None:
    backend = torn((SURE, 1.0))
    document = load(b"Invoice A1", filename="a.txt", settings=settings)
    stop = Stop()
    parameters = ExtractionParameters(json_schema=SCHEMA, n_consensus=4)
    task = Task("extr_1", now(), document, parameters, plan_schema(SCHEMA, settings=settings), settings, stop)
    with Engine(backend, max_sequences=8, prefill_chunk=64) as engine:
        submitted: list[Generation] = []
        submit = engine.submit

        def stopping(*arguments: Any, **options: Any) -> Generation:
            submitted.append(submit(*arguments, **options))
            stop.set()
            return submitted[-1]

        engine.submit = stopping  # type: ignore[method-assign]
        with pytest.raises(GenerationCancelledError):
            list(extract(task, engine))
        (generation,) = submitted
        assert [vote._sequence.cancelled for vote in (generation, *generation.votes)] == [True] * 4
        assert not [slot for slot in engine._scheduler._pool._slots if slot.busy]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 1], 1),
        ([1, 2], MISSING),
        ([1, MISSING], MISSING),
        ([{"a": 1, "b": 2}, {"a": 1, "b": 3}], {"a": 1}),
        ([{"a": 1}, {}], {}),
        ([[1, 2, 3], [1, 2, 4]], [1, 2]),
        ([[1, 2], [1, 2]], [1]),
        ([[1], MISSING], MISSING),
        ([[{"a": 1}, {"a": 2}, 0], [{"a": 1}, {"b": 2}, 0]], [{"a": 1}]),
        ([{"a": True}, {"a": 1}], {}),
    ],
)
def test_the_common_part(values: list[Any], expected: Any) -> None:
    assert common(values) == expected
