"""Messages to prompt parts, by the chat template that the model carries.

The template comes with the weights and the contents from documents, so neither is trusted: templates run in
Jinja's sandbox, and contents are put in after rendering, so that control tokens written in a document stay text.
"""

from __future__ import annotations

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

    Templates without a system role get the system text at the head of the first user message.
    Raises ModelLoadError when the template cannot be rendered either way.
    """
    from jinja2 import TemplateError

    try:
        return _render(template or PLAIN_TEMPLATE, messages, bos=bos, eos=eos)
    except TemplateError:
        merged = _without_system(messages)
    try:
        return _render(template or PLAIN_TEMPLATE, merged, bos=bos, eos=eos)
    except TemplateError as error:
        raise ModelLoadError(
            f"The model's chat template cannot be rendered: {error}. Use another model, or one whose template is whole."
        ) from error


def _render(template: str, messages: Sequence[Message], *, bos: str, eos: str) -> list[PromptPart]:
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = refuse
    nonce = secrets.token_hex(8)
    marks = {f"[{nonce}:{index}]": message.content for index, message in enumerate(messages)}
    turns: list[dict[str, Any]] = [
        {"role": message.role, "content": mark} for message, mark in zip(messages, marks, strict=True)
    ]
    text = environment.from_string(template).render(
        messages=turns,
        add_generation_prompt=True,
        bos_token=bos,
        eos_token=eos,
        tools=None,
        enable_thinking=False,
    )
    parts: list[PromptPart] = []
    for mark, content in marks.items():
        before, found, text = text.partition(mark)
        if not found:
            raise TemplateError("a message is left out")
        parts += [PromptPart(before, trusted=True), PromptPart(content, trusted=False)]
    parts.append(PromptPart(text, trusted=True))
    return [part for part in parts if part.text]


def _without_system(messages: Sequence[Message]) -> list[Message]:
    system = "\n\n".join(message.content for message in messages if message.role == "system")
    rest = [message for message in messages if message.role != "system"]
    for index, message in enumerate(rest):
        if message.role == "user":
            rest[index] = replace(message, content=f"{system}\n\n{message.content}")
            return rest
    return [Message("user", system), *rest]
