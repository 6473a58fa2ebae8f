"""What the model is told, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from local_retab.errors import RequestError
from local_retab.extraction.chat import Message
from local_retab.extraction.prompt import TASK, build_messages, join_pages
from local_retab.schema import load_schema, plan_schema
from local_retab.settings import Settings
from local_retab.wire import ExtractionParameters

SCHEMA = {"type": "object", "properties": {"total": {"type": "number", "description": "amount due"}}}


def messages(schema: dict[str, Any] = SCHEMA, pages: tuple[str, ...] = ("the page",), **fields: Any) -> list[Message]:
    settings = Settings()
    plan = plan_schema(load_schema(schema, settings=settings), settings=settings)
    return build_messages(plan, ExtractionParameters(json_schema=schema, **fields), pages)


def test_the_task_and_the_template_come_before_the_document() -> None:
    system, user = messages()
    assert (system.role, user.role) == ("system", "user")
    assert system.content.startswith(TASK)
    assert '"total"' in system.content
    assert "amount due" in system.content
    assert "the page" not in system.content
    assert "the page" in user.content


def test_documents_under_one_schema_share_everything_up_to_the_document() -> None:
    one, other = messages(pages=("first",)), messages(pages=("second",))
    assert one[0] == other[0]
    assert one[1].content.partition("first")[0] == other[1].content.partition("second")[0]


def test_the_schemas_and_the_callers_instructions_are_told_between_task_and_template() -> None:
    system = messages({**SCHEMA, "X-SystemPrompt": "Amounts are in euro."}, instructions="Ignore the header.")[
        0
    ].content
    places = [system.index(text) for text in (TASK, "Amounts are in euro.", "Ignore the header.", "The template:")]
    assert places == sorted(places)


def test_additional_messages_stand_before_the_document() -> None:
    extra = [
        {"role": "user", "content": "an example"},
        {"role": "assistant", "content": [{"type": "text", "text": "its "}, {"type": "text", "text": "answer"}]},
        {"role": "developer", "content": "a rule"},
    ]
    assert messages(additional_messages=extra)[1:-1] == [
        Message("user", "an example"),
        Message("assistant", "its answer"),
        Message("system", "a rule"),
    ]


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"role": "user"},
        {"role": "tool", "content": "x"},
        {"role": ["user"], "content": "x"},
        {"content": "x"},
        {"role": "user", "content": 5},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]},
        {"role": "user", "content": ["x"]},
        {"role": "user", "content": [{"type": "text"}]},
    ],
)
def test_a_message_that_cannot_be_sent_is_named(message: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=r"additional_messages\[1\]"):
        messages(additional_messages=[{"role": "user", "content": "fine"}, message])


def test_pages_are_numbered_where_there_are_several() -> None:
    assert join_pages(["\none\n"]) == "one"
    assert join_pages(["\none\n", "", "three"]) == "[page 1]\none\n\n[page 2]\n\n\n[page 3]\nthree"


def test_the_layout_of_a_page_is_kept() -> None:
    assert join_pages(["  indented\n     more"]) == "  indented\n     more"
