"""What prompts begin with, before the schema and the document are known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scripted_backend import ScriptedBackend

from local_retab.engine.engine import Engine
from local_retab.errors import ModelLoadError
from local_retab.extraction.chat import render_chat
from local_retab.extraction.profiles import DEFAULT, profile_named
from local_retab.extraction.prompt import TASK
from local_retab.extraction.prompting import prompt_head
from local_retab.schema import plan_schema
from local_retab.settings import Settings
from local_retab.wire import ExtractionParameters

SCHEMA = {"type": "object", "properties": {"total": {"type": "number"}}}
REFUSING = "{{ raise_exception('no') }}"
TURNS = "{% for message in messages %}<{{ message.role }}>{{ message.content }}{% endfor %}"
NO_SYSTEM = (
    "{% for message in messages %}{% if message.role == 'system' %}{{ raise_exception('no') }}{% endif %}"
    "<{{ message.role }}>{{ message.content }}{% endfor %}"
)


def engine_of(template: str | None) -> Engine:
    return Engine(ScriptedBackend(lambda prompt: "{}", template=template), max_sequences=1, prefill_chunk=64)


@pytest.fixture(params=[TURNS, NO_SYSTEM, None])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with engine_of(request.param) as made:
        yield made


def test_every_prompt_begins_with_the_head(engine: Engine) -> None:
    head = prompt_head(engine, DEFAULT)
    parameters = ExtractionParameters(json_schema=SCHEMA)
    chat = profile_named(DEFAULT).write(plan_schema(SCHEMA, settings=Settings()), parameters, ["page"], [])
    prompt = render_chat(engine.info.chat_template, chat.messages, bos="", eos="<|end|>")
    tokens = engine.tokenize(head).tokens
    assert tokens == engine.tokenize(prompt).tokens[: len(tokens)]
    assert TASK in head[-1].text


def test_other_profiles_begin_otherwise(engine: Engine) -> None:
    assert prompt_head(engine, "nuextract") == []


def test_a_template_that_refuses_is_an_error() -> None:
    with engine_of(REFUSING) as engine, pytest.raises(ModelLoadError, match="chat template"):
        prompt_head(engine, DEFAULT)
