"""Statements that do not fit one prompt, read by a model that copies what its prompt shows."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scripted_backend import ANSWER, ScriptedBackend
from statement_reader import document_of, reader, rows_of

from local_retab.documents import Document, load
from local_retab.engine.engine import Engine
from local_retab.engine.pace import Pace
from local_retab.engine.sequence import Limits, PromptPart
from local_retab.errors import (
    ContextLengthError,
    EngineError,
    FeatureNotAvailableError,
    GenerationCancelledError,
    LocalRetabError,
    ModalityError,
    OutputValidationError,
    RequestError,
)
from local_retab.extraction.chunking import planning
from local_retab.extraction.partial import MISSING, extends
from local_retab.extraction.pipeline import extract
from local_retab.extraction.task import Stop, Task
from local_retab.schema import load_schema, plan_schema
from local_retab.service.runner import check_parts
from local_retab.settings import Settings
from local_retab.wire import Extraction, ExtractionChunk, ExtractionParameters, now

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from statements import HOLDER, IBAN, SCHEMA, Statement, make_statement

KEYS = {"transactions": "reference"}


def narrow(*names: str) -> dict[str, Any]:
    """The schema of statements with these fields of a transaction alone."""
    schema = deepcopy(SCHEMA)
    item = schema["properties"]["transactions"]["items"]
    item["properties"] = {name: item["properties"][name] for name in names}
    item["required"] = list(names)
    return schema


def stated(statement: Statement, schema: dict[str, Any]) -> dict[str, Any]:
    """What a statement says under a narrow schema."""
    names = schema["properties"]["transactions"]["items"]["properties"]
    rows = [{name: row[name] for name in names} for row in statement.value["transactions"]]
    return {**statement.value, "transactions": rows}


class Sure(ScriptedBackend):
    """Sampled answers are the script's too."""

    def logits(self, row: int) -> NDArray[np.float32]:
        return super().logits(row) * 50


class Scene:
    """One statement, one scripted model, and what came of an extraction."""

    def __init__(
        self,
        statement: Statement,
        script: Callable[[str], str],
        *,
        schema: dict[str, Any] = SCHEMA,
        context: int = 8000,
        settings: dict[str, Any] | None = None,
        backend: dict[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        # As many chunks as there are changes; answers as long as the context admits.
        chosen = {"chunks_per_second": 1e9, "document_isolation": "none", "max_output_tokens": context // 2}
        self.settings = Settings(**{**chosen, **(settings or {})})
        self.document = load(statement.pdf, filename="statement.pdf", settings=self.settings)
        self.backend = Sure(script, context_tokens=context, batch_tokens=256, sequences=8, **(backend or {}))
        self.engine = Engine(self.backend, max_sequences=4, prefill_chunk=256)
        self.stop = Stop()
        self.chunks: list[ExtractionChunk] = []
        self._task = self._make_task(self.document, schema, fields)

    def _make_task(self, document: Document, schema: dict[str, Any], fields: dict[str, Any]) -> Task:
        loaded = load_schema(schema, settings=self.settings)
        parameters = ExtractionParameters(json_schema=schema, **fields)
        plan = plan_schema(loaded, settings=self.settings, absent_null=parameters.absent == "null")
        return Task("extr_1", now(), document, parameters, plan, self.settings, self.stop)

    def run(self) -> Extraction:
        """Run to the end; every chunk must extend the one before."""
        shown: Any = MISSING
        for chunk in extract(self._task, self.engine):
            assert extends(chunk.output, shown), "a chunk takes back what was shown"
            shown = chunk.output
            self.chunks.append(chunk)
        last = self.chunks[-1]
        assert isinstance(last, Extraction)
        assert self.busy == 0
        return last

    def open(self) -> Any:
        return extract(self._task, self.engine)

    @property
    def busy(self) -> int:
        return sum(slot.busy for slot in self.engine._scheduler._pool._slots)

    def wait_until_idle(self) -> None:
        """Let the decoding thread end what was cancelled: a further generation is the proof that it did."""
        prompt = [PromptPart(ANSWER, trusted=True)]
        self.backend._script = lambda prompt: "0"
        with self.engine.submit(
            prompt, '{"grammars": [{"json_schema": {"const": 0}}]}', Limits(output_tokens=4, seconds=20)
        ) as generation:
            assert list(generation)


@contextmanager
def scene(*args: Any, **fields: Any) -> Iterator[Scene]:
    made = Scene(*args, **fields)
    try:
        yield made
    finally:
        made.engine.close()


SMALL = make_statement(24, 3)


class TestTwelveHundredRows:
    """A statement of 1,200 rows on 40 pages."""

    STATEMENT = make_statement(1200, 40)
    NARROW = narrow("reference", "amount")

    def test_deep_extraction_gives_every_row_in_order(self) -> None:
        with scene(self.STATEMENT, reader(), schema=self.NARROW, context=16_384, deep_extraction=True) as made:
            result = made.run()
        assert result.output == stated(self.STATEMENT, self.NARROW)
        assert result.notices == []
        assert result.plan is not None
        assert (result.plan.mode, result.plan.pages, result.plan.rows, len(result.plan.parts)) == ("rows", 40, 1200, 48)
        # Items appear as windows are read: 25 rows each.
        counts = [len(chunk.output["transactions"]) for chunk in made.chunks]  # type: ignore[index, call-overload]
        assert len(made.chunks) > 20
        assert all(count % 25 == 0 for count in counts)

    def test_chunking_keys_finds_every_key(self) -> None:
        schema = narrow("reference", "amount")
        with scene(self.STATEMENT, reader(), schema=schema, context=16_384, chunking_keys=KEYS) as made:
            result = made.run()
        assert result.output == stated(self.STATEMENT, schema)
        assert result.notices == []
        assert result.plan is not None
        assert (result.plan.mode, result.plan.rows) == ("keys", 1200)
        assert result.usage is not None
        # The beginning of the prompt is computed once for all that run beside one another.
        assert result.usage.cached_prompt_tokens > 0.6 * result.usage.prompt_tokens


class TestWindows:
    @pytest.mark.parametrize("context", [4000, 5000, 6000])
    def test_the_value_is_what_one_prompt_would_give(self, context: int) -> None:
        with scene(SMALL, reader(), context=context) as made:
            result = made.run()
        assert result.output == SMALL.value
        assert result.notices == []
        assert result.plan is not None
        assert result.plan.mode == "windows"
        assert len(result.plan.parts) > 1
        assert (result.plan.parts[0].first_page, result.plan.parts[-1].last_page) == (1, 3)
        assert all(early.last_page + 1 >= late.first_page for early, late in pairwise(result.plan.parts))

    def test_what_fits_is_read_at_once(self) -> None:
        with scene(SMALL, reader(), context=16_384) as made:
            result = made.run()
        assert result.output == SMALL.value
        assert result.plan is not None
        assert (result.plan.mode, len(result.plan.parts)) == ("at_once", 1)
        assert result.usage is not None
        assert result.plan.prompt_tokens == result.usage.prompt_tokens

    def test_the_plan_is_close_to_what_is_spent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(planning, "text_pace", lambda engine: Pace(prefill=0.0, decode=0.5))
        with scene(SMALL, reader(), context=6000) as made:
            result = made.run()
        assert result.plan is not None
        assert result.usage is not None
        assert result.plan.prompt_tokens == pytest.approx(result.usage.prompt_tokens, rel=0.1)
        assert result.plan.output_tokens == pytest.approx(result.usage.output_tokens, rel=0.3)
        assert result.plan.seconds == 0.5 * result.plan.output_tokens

    def test_pages_keep_their_numbers(self) -> None:
        prompts: set[str] = set()

        def script(prompt: str) -> str:
            prompts.add(prompt)
            return answer(prompt)

        answer = reader()
        with scene(SMALL, script, context=6000) as made:
            made.run()
        assert any("[page 3]" in prompt and "[page 1]" not in prompt for prompt in prompts)

    def test_equal_rows_in_and_out_of_the_overlap_all_survive(self) -> None:
        row = "2026-01-02  TX000001  Card payment  -1.00  9.00"
        pages = "\n".join([row] * 40)
        statement = Statement(b"", {})
        schema = narrow("reference", "amount")
        with scene(SMALL, reader(), schema=schema, context=4500) as made:
            document = load(pages.encode(), filename="rows.txt", settings=made.settings)
            made._task = made._make_task(document, schema, {})
            result = made.run()
        assert statement.value == {}
        assert result.plan is not None
        assert len(result.plan.parts) > 1
        assert result.output["transactions"] == [{"reference": "TX000001", "amount": -1.0}] * 40  # type: ignore[index, call-overload]

    def test_votes(self) -> None:
        schema = narrow("reference", "amount")
        with scene(SMALL, reader(), schema=schema, context=6000, n_consensus=3) as made:
            result = made.run()
        value = stated(SMALL, schema)
        assert result.output == value
        assert result.consensus is not None
        assert result.consensus.choices == [value] * 3
        assert result.consensus.likelihoods["transactions"][23] == {"reference": 1.0, "amount": 1.0}  # type: ignore[index, call-overload]

    def test_likelihoods_and_sources(self) -> None:
        with scene(SMALL, reader(), context=6000, sources={"mode": "located"}) as made:
            result = made.run()
        assert result.likelihoods["transactions"][0].keys() == SMALL.value["transactions"][0].keys()  # type: ignore[index, call-overload, union-attr]
        assert result.sources is not None
        found: Any = result.sources.sources
        assert found["transactions"][20]["reference"]["source"]["anchor"]["page"] == 3


class TestCompleteness:
    def test_rows_that_a_model_leaves_out_are_asked_for_again(self) -> None:
        lazy = reader(lambda text, rows: rows[:10])
        statement = make_statement(60, 3)
        with scene(statement, lazy, context=16_384, deep_extraction=True) as made:
            result = made.run()
        # Ten of 25, then ten of the 15 that were missed; ten of the last ten.
        found = [row["reference"] for row in result.output["transactions"]]  # type: ignore[index, call-overload]
        printed = [row["reference"] for row in statement.value["transactions"]]
        assert found == printed[:20] + printed[25:45] + printed[50:]
        (notice,) = result.notices
        assert (notice.code, notice.path) == ("ROWS_MISSING", "/transactions")
        assert "60 lines" in notice.message
        assert "10 of them have no item" in notice.message
        assert "2 (5), 3 (5)" in notice.message

    def test_a_second_look_may_find_all(self) -> None:
        sloppy = reader(lambda text, rows: rows if len(rows) < 10 else [r for n, r in enumerate(rows) if n % 3])
        with scene(make_statement(60, 3), sloppy, context=16_384, deep_extraction=True) as made:
            result = made.run()
        assert result.output == make_statement(60, 3).value
        assert result.notices == []

    def test_a_row_that_is_asked_for_again_is_told_by_its_line(self) -> None:
        def careless(text: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
            if len(rows) > 1:
                return [row for row in rows if row["reference"] != "TX000007"]
            return [{**row, "description": "Nothing of the kind", "amount": -row["amount"]} for row in rows]

        with scene(make_statement(60, 3), reader(careless), context=16_384, deep_extraction=True) as made:
            result = made.run()
        assert result.output == make_statement(60, 3).value

    def test_a_shortfall_is_told_without_deep_extraction_too(self) -> None:
        blind = reader(lambda text, rows: [row for row in rows if row["reference"] != "TX000007"])
        with scene(SMALL, blind, context=6000) as made:
            result = made.run()
        assert len(result.output["transactions"]) == 23  # type: ignore[index, call-overload, arg-type]
        assert [notice.code for notice in result.notices] == ["ROWS_MISSING"]

    def test_a_table_that_nobody_asks_for_is_no_shortfall(self) -> None:
        schema = deepcopy(SCHEMA)
        schema["properties"]["transactions"]["items"] = {"type": "string"}
        with scene(SMALL, reader(lambda text, rows: []), schema=schema, context=6000) as made:
            result = made.run()
        assert result.output["transactions"] == []  # type: ignore[index, call-overload]
        assert result.notices == []

    @pytest.mark.parametrize("deep", [False, True])
    def test_where_the_budget_ends_in_a_window_the_rest_is_asked_for(self, deep: bool) -> None:
        # The first window writes on and on in one description.
        endless = reader(
            lambda text, rows: [
                {**row, "description": "x" * 5000} if row["reference"] == "TX000004" and "TX000003" in text else row
                for row in rows
            ]
        )
        schema = deepcopy(SCHEMA)
        schema["properties"]["transactions"]["items"]["properties"]["description"] = {"type": "string"}
        statement = make_statement(60, 3)
        settings = {"max_string_chars": 10_000, "max_output_tokens": 3900}
        fields = {"deep_extraction": True} if deep else {}
        with scene(statement, endless, schema=schema, context=8000, settings=settings, **fields) as made:
            result = made.run()
        rows = result.output["transactions"]  # type: ignore[index, call-overload]
        assert [row["reference"] for row in rows] == [r["reference"] for r in statement.value["transactions"]]

    def test_a_budget_that_ends_for_good_is_noticed_at_its_place(self) -> None:
        endless = reader(
            lambda text, rows: [
                {**row, "description": "x" * 5000} if row["reference"] == "TX000014" else row for row in rows
            ]
        )
        settings = {"max_string_chars": 10_000, "max_output_tokens": 3000}
        schema = deepcopy(SCHEMA)
        schema["properties"]["transactions"]["items"]["properties"]["description"] = {"type": "string"}
        with scene(SMALL, endless, schema=schema, context=6000, settings=settings) as made:
            result = made.run()
        codes = {notice.code: notice for notice in result.notices}
        assert "OUTPUT_BUDGET_EXHAUSTED" in codes
        assert codes["OUTPUT_BUDGET_EXHAUSTED"].path.startswith("/transactions/13")


class TestScalars:
    def test_what_no_part_states_is_asked_of_the_first_where_it_may_not_be_null(self) -> None:
        schema = deepcopy(SCHEMA)
        schema["properties"]["branch"] = {"type": "string"}
        schema["required"] = ["branch", *schema["required"]]
        answer = reader()

        def script(prompt: str) -> str:
            alone = '"branch"' in prompt and '"transactions"' not in prompt
            return '{"branch": "Norwich"}' if alone else answer(prompt)

        with scene(SMALL, script, schema=schema, context=6500) as made:
            result = made.run()
        assert result.output == {**SMALL.value, "branch": "Norwich"}

    def test_with_absent_null_it_is_null_and_listed(self) -> None:
        schema = deepcopy(SCHEMA)
        schema["properties"]["branch"] = {"type": "string"}
        schema["required"] = ["branch", *schema["required"]]
        with scene(SMALL, reader(), schema=schema, context=6500, absent="null") as made:
            result = made.run()
        assert result.output == {**SMALL.value, "branch": None}
        assert result.absent == ["/branch"]

    def test_optional_ones_are_left_out(self) -> None:
        schema = deepcopy(SCHEMA)
        schema["properties"]["branch"] = {"type": "string"}
        with scene(SMALL, reader(), schema=schema, context=6500) as made:
            assert made.run().output == SMALL.value

    def test_objects_that_may_be_left_out_are_read_in_every_part_and_left_out_where_no_part_states_them(self) -> None:
        schema = deepcopy(SCHEMA)
        account = schema["properties"].pop("iban")
        schema["properties"]["bank"] = {"type": "object", "properties": {"iban": account, "bic": {"type": "string"}}}
        schema["properties"]["agent"] = {
            "type": "object",
            "properties": {"name": {"type": "string"}, "calls": {"type": "array", "items": {"type": "string"}}},
            "required": ["name", "calls"],
        }
        schema["required"] = [name for name in schema["required"] if name != "iban"]
        answer = reader()

        def script(prompt: str) -> str:
            value = json.loads(answer(prompt))
            bank = {"iban": value.pop("iban", None), "bic": None}
            return json.dumps({**value, "bank": bank, "agent": {"name": None, "calls": []}})

        with scene(SMALL, script, schema=schema, context=6500) as made:
            result = made.run()
        assert len(result.plan.parts) > 1
        expected = {key: value for key, value in SMALL.value.items() if key != "iban"}
        assert result.output == {**expected, "bank": {"iban": IBAN}}
        assert "agent" not in result.likelihoods


class TestKeys:
    def test_keys_that_are_not_printed_have_no_item(self) -> None:
        made_up = reader(lambda text, rows: [*rows, {**rows[0], "reference": "NOWHERE"}] if rows else rows)
        with scene(SMALL, made_up, context=8000, chunking_keys=KEYS) as made:
            result = made.run()
        assert result.output == SMALL.value
        (notice,) = result.notices
        assert (notice.code, notice.path) == ("KEYS_NOT_FOUND", "/transactions")
        assert "NOWHERE" in notice.message

    def test_a_key_that_is_given_twice_is_not_lost(self) -> None:
        """A model goes on counting where its part ends: what it names stands in another part."""
        counting = reader(lambda text, rows: [*rows, {**rows[0], "reference": "TX000001"}] if len(rows) > 1 else rows)
        with scene(SMALL, counting, context=8000, chunking_keys=KEYS) as made:
            result = made.run()
        assert result.output == SMALL.value
        assert result.notices == []

    def test_items_are_told_by_their_lines(self) -> None:
        statement = make_statement(60, 3)

        def careless(text: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [
                {**row, "amount": -row["amount"], "balance": 1.5} if "9" in row["reference"] else row for row in rows
            ]

        with scene(statement, reader(careless), context=8000, chunking_keys=KEYS) as made:
            result = made.run()
        assert result.output == statement.value
        counts = [len(chunk.output.get("transactions", [])) for chunk in made.chunks]  # type: ignore[union-attr, arg-type]
        assert counts == sorted(counts)
        assert set(counts) == {0, 25, 50, 60}

    def test_an_array_alone(self) -> None:
        schema = deepcopy(SCHEMA)
        schema["properties"] = {"transactions": schema["properties"]["transactions"]}
        schema["required"] = ["transactions"]
        with scene(SMALL, reader(), schema=schema, context=8000, chunking_keys=KEYS) as made:
            assert made.run().output == {"transactions": SMALL.value["transactions"]}

    def test_votes(self) -> None:
        schema = narrow("reference", "amount")
        with scene(SMALL, reader(), schema=schema, context=8000, chunking_keys=KEYS, n_consensus=2) as made:
            result = made.run()
        value = stated(SMALL, schema)
        assert result.output == value
        assert result.consensus is not None
        assert result.consensus.choices == [value, value]

    def test_missing_keys_are_told(self) -> None:
        blind = reader(lambda text, rows: [row for row in rows if row["reference"] != "TX000007"])
        with scene(SMALL, blind, context=8000, chunking_keys=KEYS) as made:
            result = made.run()
        assert [row["reference"] for row in result.output["transactions"]][5:7] == ["TX000006", "TX000008"]  # type: ignore[index, call-overload]
        assert [notice.code for notice in result.notices] == ["ROWS_MISSING"]

    @pytest.mark.parametrize(
        "keys",
        [{"nothing": "reference"}, {"transactions": "nothing"}, {"iban": "x"}, {"transactions": "reference.x"}],
    )
    def test_paths_that_lead_nowhere_are_refused(self, keys: dict[str, str]) -> None:
        with pytest.raises(RequestError, match="chunking_keys") as caught:
            check_parts(ExtractionParameters(json_schema=SCHEMA, chunking_keys=keys), SCHEMA)
        assert caught.value.details == {"field": "chunking_keys"}

    def test_a_model_that_is_shown_no_text_cannot_locate_them(self) -> None:
        asked = {"chunking_keys": KEYS, "modality": "image"}
        with (
            scene(SMALL, reader(), backend={"image_tokens": 4}, **asked) as made,
            pytest.raises(ModalityError, match="chunking_keys"),
        ):
            made.run()


class TestErrors:
    def test_cited_sources_are_refused_before_a_token_is_spent(self) -> None:
        with scene(SMALL, reader(), context=6000, sources={"mode": "cited"}) as made:
            with pytest.raises(FeatureNotAvailableError, match="parts"):
                made.run()
            assert made.backend.batches == []

    def test_a_context_for_less_than_a_line(self) -> None:
        with scene(SMALL, reader(), context=1100) as made:
            with pytest.raises(ContextLengthError, match="not even a part") as caught:
                made.run()
            assert caught.value.details["limit"] == 1100
            assert made.backend.batches == []

    def test_a_window_that_fails_ends_all_with_its_pages(self) -> None:
        with scene(SMALL, reader(), context=6000) as made:

            def fail(batch: list[Any]) -> None:
                if b"TX000020" in bytes(entry.token for entry in batch):
                    raise EngineError("lightning")

            made.backend.before_decode = fail
            with pytest.raises(EngineError, match="lightning") as caught:
                made.run()
            assert caught.value.details["pages"]
            made.backend.before_decode = lambda batch: None
            made.wait_until_idle()
            assert made.busy == 0

    def test_a_whole_that_breaks_the_schema_is_refused_with_the_path(self) -> None:
        schema = narrow("reference", "amount")
        schema["properties"]["transactions"]["maxItems"] = 20
        with scene(SMALL, reader(), schema=schema, context=4500) as made:
            with pytest.raises(OutputValidationError, match="/transactions") as caught:
                made.run()
            (problem,) = caught.value.details["problems"]
            assert problem["keyword"] == "maxItems"

    def test_where_validation_may_refuse_nothing_is_shown_before(self) -> None:
        schema = narrow("reference", "amount")
        schema["properties"]["transactions"]["uniqueItems"] = True
        with scene(SMALL, reader(), schema=schema, context=4500) as made:
            assert made.run().output == stated(SMALL, schema)
            assert len(made.chunks) == 1


class TestStopping:
    @pytest.mark.parametrize("fields", [{}, {"deep_extraction": True}, {"chunking_keys": KEYS}, {"n_consensus": 2}])
    def test_hanging_up_stops_all_sequences(self, fields: dict[str, Any]) -> None:
        with scene(make_statement(60, 3), reader(), context=8000, **fields) as made:
            run = made.open()
            next(run)
            run.close()
            made.wait_until_idle()
            assert made.busy == 0
            spent = len(made.backend.batches)
            made.wait_until_idle()
            assert len(made.backend.batches) <= spent + 4

    @pytest.mark.parametrize("fields", [{}, {"deep_extraction": True}, {"chunking_keys": KEYS}])
    def test_a_wish_from_another_thread(self, fields: dict[str, Any]) -> None:
        reached, released = threading.Event(), threading.Event()
        with scene(make_statement(60, 3), reader(), context=8000, **fields) as made:

            def hold(batch: list[Any]) -> None:
                if len(made.backend.batches) == 300:
                    reached.set()
                    assert released.wait(30)

            made.backend.before_decode = hold

            def stop() -> None:
                assert reached.wait(30)
                made.stop.set()
                released.set()

            thread = threading.Thread(target=stop)
            thread.start()
            with pytest.raises(GenerationCancelledError):
                made.run()
            thread.join(30)
            made.wait_until_idle()
            assert made.busy == 0

    def test_before_it_begins(self) -> None:
        with scene(SMALL, reader(), context=6000) as made:
            made.stop.set()
            with pytest.raises(LocalRetabError):
                made.run()
            assert made.backend.batches == []


def test_the_reader_reads_what_is_printed() -> None:
    """The fake model is right, so that what is missing is missing in the code under test."""
    with scene(SMALL, reader(), context=16_384) as made:
        prompts: list[str] = []
        answer = reader()

        def script(prompt: str) -> str:
            prompts.append(prompt)
            return answer(prompt)

        made.backend._script = script
        made.run()
    text = document_of(prompts[-1])
    assert rows_of(text) == SMALL.value["transactions"]
    assert HOLDER in text
    assert IBAN in text
