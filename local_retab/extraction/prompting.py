"""The prompt for pages of a document, rendered with the model's own chat template."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_retab.engine.sequence import PromptPart
from local_retab.extraction.chat import Message, render_chat
from local_retab.extraction.profiles import DEFAULT, profile_named
from local_retab.extraction.prompt import TASK
from local_retab.extraction.seeing import choose_budget, look_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local_retab.documents import Page
    from local_retab.engine.engine import Engine
    from local_retab.engine.sequence import ImagePart
    from local_retab.extraction.seeing import Sight
    from local_retab.extraction.task import Task


def write_prompt(
    task: Task, engine: Engine, sight: Sight, pages: Sequence[Page], *, whole: bool = True
) -> list[PromptPart | ImagePart]:
    """The prompt; ``whole`` says that ``pages`` are all of the document, which then may not all be blank."""
    budget = choose_budget(task.parameters, task.settings)
    images = look_at(task.document, pages, budget, engine, whole=whole) if sight.images else []
    texts = [page.text if sight.text else "" for page in pages]
    numbers = [page.number for page in pages]
    chat = profile_named(task.profile).write(task.plan, task.parameters, texts, images, numbers)
    info = engine.info
    return render_chat(info.chat_template, chat.messages, bos=info.bos, eos=info.eos, variables=chat.variables)


def prompt_head(engine: Engine, profile: str) -> list[PromptPart]:
    """What the prompts of a profile begin with, whatever the schema and the document; empty where that is nothing.

    Raises ModelLoadError where the model's chat template cannot be rendered.
    """
    head: list[PromptPart] = []
    if profile != DEFAULT:
        return head
    info = engine.info
    messages = [Message("system", TASK), Message("user", "")]
    for part in render_chat(info.chat_template, messages, bos=info.bos, eos=info.eos):
        if not isinstance(part, PromptPart):
            break
        head.append(part)
        if part.text.startswith(TASK):
            return head
    return []
