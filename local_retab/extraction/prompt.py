"""What the model is told: the task, the caller's instructions, the template, and the document's pages.

The stable part comes first, so that a batch of documents under one schema shares its KV prefix.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from local_retab.errors import RequestError
from local_retab.extraction.chat import Message, Role
from local_retab.extraction.dating import wants_iso_dates, with_iso_dates

if TYPE_CHECKING:
    from local_retab.engine.images import Pixels
    from local_retab.schema import SchemaPlan
    from local_retab.wire import ExtractionParameters

RULES = (
    "- Copy values exactly and completely as they are printed, over all the lines that they take. An address begins "
    "with its house, lot or unit number and has no phone, tax or registration numbers. A company has its full name.\n"
    "- A date has no time of day. Numbers are plain: 1234.5, no currency, no thousands separators.\n"
    "- Each field gets the value of its own label only. Give null for a field that may be null when the document "
    "does not state it; never guess, never calculate, and never reuse another field's value.\n"
)
TASK = (
    "You read a document and fill in a JSON template with what the document says.\n"
    f"{RULES}- Answer with the JSON value alone."
)
"""The head of the system message. What was measured to help and what not: docs/accuracy.md."""

ROLES = ("system", "user", "assistant")


def build_messages(
    plan: SchemaPlan,
    parameters: ExtractionParameters,
    pages: Sequence[str],
    images: Sequence[Pixels] = (),
    numbers: Sequence[int] | None = None,
) -> list[Message]:
    """The chat for one extraction; ``pages`` are the laid-out texts, ``images`` one for each page or none.

    ``numbers`` are those of the pages in their document; from 1 where they are not given. Raises RequestError for a bad
    message.
    """
    system = [TASK]
    if plan.system_prompt:
        system.append(plan.system_prompt)
    if parameters.instructions:
        system.append(parameters.instructions)
    advice = json.dumps([plan.inference, *system[1:]], ensure_ascii=False)
    if wants_iso_dates(advice):
        pages = with_iso_dates(pages, advice)
    system.append(f"The template:\n{plan.template}")
    ending = "\n\nFill in the template for this document."
    content: str | tuple[str | Pixels, ...] = f"The document:\n\n{join_pages(pages, numbers)}{ending}"
    if images:
        content = ("The document:\n\n", *illustrated(pages, images, numbers), ending)
    return [Message("system", "\n\n".join(system)), *additional_messages(parameters), Message("user", content)]


def additional_messages(parameters: ExtractionParameters) -> list[Message]:
    """The chat messages of the request. Raises RequestError for one that cannot be sent."""
    return [_message(item, index) for index, item in enumerate(parameters.additional_messages or [])]


def illustrated(
    pages: Sequence[str], images: Sequence[Pixels], numbers: Sequence[int] | None = None
) -> list[str | Pixels]:
    """Each page's image, followed by its text where there is any."""
    content: list[str | Pixels] = []
    for number, text, image in zip(numbers or range(1, len(pages) + 1), pages, images, strict=True):
        if content:
            content.append("\n\n")
        if len(pages) > 1:
            content.append(f"[page {number}]\n")
        content.append(image)
        if text.strip():
            content.append("\nIts text:\n\n" + text.strip("\n"))
    return content


def join_pages(pages: Sequence[str], numbers: Sequence[int] | None = None) -> str:
    """One text; page numbers are shown where there is more than one page."""
    if len(pages) == 1:
        return pages[0].strip("\n")
    numbered = zip(numbers or range(1, len(pages) + 1), pages, strict=True)
    return "\n\n".join(f"[page {number}]\n{text.strip(chr(10))}" for number, text in numbered)


def _message(item: dict[str, Any], index: int) -> Message:
    """A chat message of the request: {"role", "content"}, the content a text or a list of text parts."""
    where = f"additional_messages[{index}]"
    role, content = item.get("role"), item.get("content")
    if role == "developer":
        role = "system"
    if role not in ROLES:
        raise RequestError(f"{where}: role {role!r} is not one of {', '.join(ROLES)}.")
    if isinstance(content, list):
        texts = [
            part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in content
        ]
        if not all(isinstance(text, str) for text in texts):
            raise RequestError(f"{where}: only text parts can be sent; put images into the document.")
        content = "".join(cast("list[str]", texts))
    if not isinstance(content, str):
        raise RequestError(f"{where}: content must be a text or a list of text parts.")
    return Message(cast("Role", role), content)
