"""Messages to prompt parts, by the chat template that the model carries.

The template comes with the weights and the contents from documents, so neither is trusted: templates run in
Jinja's sandbox, and contents are put in after rendering, so that control tokens written in a document stay text.
"""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from local_retab.engine.images import Pixels
from local_retab.engine.sequence import ImagePart, PromptPart
from local_retab.errors import ModelLoadError

if TYPE_CHECKING:
    from jinja2 import Template

Role = Literal["system", "user", "assistant"]

TEMPLATES = 16
"""Templates that stay compiled; each model has one."""
# For models that carry no template: bare text, which is what base models were trained on.
PLAIN_TEMPLATE = "{% for message in messages %}{{ message.content }}\n\n{% endfor %}"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat: texts and images in order."""

    role: Role
    content: str | tuple[str | Pixels, ...]

    @property
    def parts(self) -> tuple[str | Pixels, ...]:
        return (self.content,) if isinstance(self.content, str) else self.content


def render_chat(
    template: str | None,
    messages: Sequence[Message],
    *,
    bos: str,
    eos: str,
    variables: Mapping[str, str] | None = None,
) -> list[PromptPart | ImagePart]:
    """The prompt up to where the answer begins; ``variables`` are texts that the template has names of its own for.

    Contents are given to the template as texts, or as lists of parts where it reads only these. For templates that
    refuse a system role or two messages of one role in a row, the system text goes to the head of the first user
    message, and such messages are joined.
    Raises ModelLoadError when the template cannot be rendered in any of these ways.
    """
    context = {"bos_token": bos, "eos_token": eos, "tools": None, "enable_thinking": False}
    failure: _TemplateError | None = None
    for turns in (messages, _joined(_without_system(messages))):
        for listed in (False, True):
            try:
                return _render(template or PLAIN_TEMPLATE, turns, variables or {}, context, listed=listed)
            except _TemplateError as error:
                failure = failure or error
    raise ModelLoadError(
        f"The model's chat template cannot be rendered: {failure}. Use another model, or one whose template is whole."
    ) from failure


class _TemplateError(Exception):
    """The template refuses these messages, or fails."""


def _refuse(message: str) -> None:
    raise _TemplateError(message)


@lru_cache(TEMPLATES)
def _compiled(template: str) -> Template:
    """Rendering may be done by any thread, and changes nothing in it."""
    from jinja2 import BaseLoader
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        loader=BaseLoader(), trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = _refuse
    return environment.from_string(template)


def _render(
    template: str,
    messages: Sequence[Message],
    variables: Mapping[str, str],
    context: Mapping[str, Any],
    *,
    listed: bool,
) -> list[PromptPart | ImagePart]:
    nonce = secrets.token_hex(8)
    contents = [*(message.parts for message in messages), *((text,) for text in variables.values())]
    marks = [f"[{nonce}:{index}]" for index in range(len(contents))]
    try:
        text = _compiled(template).render(
            messages=[
                {"role": message.role, "content": [{"type": "text", "text": mark}] if listed else mark}
                for mark, message in zip(marks, messages, strict=False)
            ],
            add_generation_prompt=True,
            **context,
            **dict(zip(variables, marks[len(messages) :], strict=True)),
        )
    except _TemplateError:
        raise
    except Exception as error:  # a template is a program: it may fail in any way
        raise _TemplateError(str(error) or type(error).__name__) from error
    if not all(mark in text for mark in marks):
        raise _TemplateError("it leaves a message or a variable out")
    parts: list[PromptPart | ImagePart] = []
    for index, piece in enumerate(re.split(rf"\[{nonce}:(\d+)\]", text)):
        parts += _content(contents[int(piece)]) if index % 2 else [PromptPart(piece, trusted=True)]
    return [part for part in parts if isinstance(part, ImagePart) or part.text]


def _content(parts: Sequence[str | Pixels]) -> Iterator[PromptPart | ImagePart]:
    for part in parts:
        yield PromptPart(part, trusted=False) if isinstance(part, str) else ImagePart(part)


def _without_system(messages: Sequence[Message]) -> list[Message]:
    system = "\n\n".join(
        part for message in messages if message.role == "system" for part in message.parts if isinstance(part, str)
    )
    rest = [message for message in messages if message.role != "system"]
    for index, message in enumerate(rest):
        if message.role == "user":
            # A part of its own, as what stands before the document in every prompt of one schema.
            rest[index] = replace(message, content=(f"{system}\n\n", *message.parts))
            return rest
    return [Message("user", system), *rest]


def _joined(messages: Sequence[Message]) -> list[Message]:
    """The messages, those of one role in a row as one."""
    turns = itertools.groupby(messages, key=lambda message: message.role)
    return [Message(role, tuple(_with_gaps([message.parts for message in run]))) for role, run in turns]


def _with_gaps(contents: Sequence[Sequence[str | Pixels]]) -> Iterator[str | Pixels]:
    """The parts of several contents, a blank line between each and the next."""
    for index, parts in enumerate(contents):
        if index:
            yield "\n\n"
        yield from parts
