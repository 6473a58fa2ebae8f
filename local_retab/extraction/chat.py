"""Messages to prompt parts, by the chat template that the model carries.

The template comes with the weights and the contents from documents, so neither is trusted: templates run in
Jinja's sandbox, and contents are put in after rendering, so that control tokens written in a document stay text.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from local_retab.engine.sequence import PromptPart
from local_retab.errors import ModelLoadError

Role = Literal["system", "user", "assistant"]

# For models that carry no template: bare text, which is what base models were trained on.
PLAIN_TEMPLATE = "{% for message in messages %}{{ message.content }}\n\n{% endfor %}"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: Role
    content: str


def render_chat(template: str | None, messages: Sequence[Message], *, bos: str, eos: str) -> list[PromptPart]:
    """The prompt up to where the answer begins.

    For templates that refuse a system role or two messages of one role in a row, the system text goes to the head of
    the first user message, and such messages are joined.
    Raises ModelLoadError when the template cannot be rendered either way.
    """
    try:
        return _render(template or PLAIN_TEMPLATE, messages, bos=bos, eos=eos)
    except _TemplateError:
        merged = _joined(_without_system(messages))
    try:
        return _render(template or PLAIN_TEMPLATE, merged, bos=bos, eos=eos)
    except _TemplateError as error:
        raise ModelLoadError(
            f"The model's chat template cannot be rendered: {error}. Use another model, or one whose template is whole."
        ) from error


class _TemplateError(Exception):
    """The template refuses these messages, or fails."""


def _refuse(message: str) -> None:
    raise _TemplateError(message)


def _render(template: str, messages: Sequence[Message], *, bos: str, eos: str) -> list[PromptPart]:
    from jinja2 import BaseLoader
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        loader=BaseLoader(), trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = _refuse
    nonce = secrets.token_hex(8)
    marks = {f"[{nonce}:{index}]": message.content for index, message in enumerate(messages)}
    turns: list[dict[str, Any]] = [
        {"role": message.role, "content": mark} for message, mark in zip(messages, marks, strict=True)
    ]
    try:
        text = environment.from_string(template).render(
            messages=turns,
            add_generation_prompt=True,
            bos_token=bos,
            eos_token=eos,
            tools=None,
            enable_thinking=False,
        )
    except _TemplateError:
        raise
    except Exception as error:  # a template is a program: it may fail in any way
        raise _TemplateError(str(error) or type(error).__name__) from error
    pieces = re.split(rf"(\[{nonce}:[0-9]+\])", text)
    if not marks.keys() <= set(pieces):
        raise _TemplateError("it leaves a message out")
    parts = [PromptPart(marks.get(piece, piece), trusted=piece not in marks) for piece in pieces]
    return [part for part in parts if part.text]


def _without_system(messages: Sequence[Message]) -> list[Message]:
    system = "\n\n".join(message.content for message in messages if message.role == "system")
    rest = [message for message in messages if message.role != "system"]
    for index, message in enumerate(rest):
        if message.role == "user":
            rest[index] = replace(message, content=f"{system}\n\n{message.content}")
            return rest
    return [Message("user", system), *rest]


def _joined(messages: Sequence[Message]) -> list[Message]:
    """The messages, those of one role in a row as one."""
    turns = itertools.groupby(messages, key=lambda message: message.role)
    return [Message(role, "\n\n".join(message.content for message in run)) for role, run in turns]
