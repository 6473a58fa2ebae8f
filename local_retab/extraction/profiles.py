"""How prompts are written for a model: most take the common form, some were trained on one of their own.

The catalogue names the profile of each model; a model that it does not know takes the common form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from local_retab.errors import ModelError
from local_retab.extraction.chat import Message
from local_retab.extraction.prompt import additional_messages, build_messages, illustrated, join_pages
from local_retab.schema.nuextract import nuextract_template

if TYPE_CHECKING:
    from local_retab.engine.images import Pixels
    from local_retab.schema import SchemaPlan
    from local_retab.wire import ExtractionParameters

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Chat:
    """What is rendered with a model's chat template; ``variables`` are texts the template has names of its own for."""

    messages: list[Message]
    variables: Mapping[str, str] = field(default_factory=dict)


class Writer(Protocol):
    """Writes the chat for the texts of pages, an image of each or none, and their numbers if not 1, 2, …"""

    def __call__(
        self,
        plan: SchemaPlan,
        parameters: ExtractionParameters,
        pages: Sequence[str],
        images: Sequence[Pixels],
        numbers: Sequence[int] | None = None,
        /,
    ) -> Chat: ...


@dataclass(frozen=True, slots=True)
class Profile:
    """``write`` gets the plan, the request, the pages' texts, and an image of each page or none.

    ``reads_text``: whether a model that sees is also given the text of what it sees.
    """

    write: Writer
    reads_text: bool = True


def profile_named(name: str) -> Profile:
    """Raises ModelError for a name that this version does not know."""
    profile = PROFILES.get(name)
    if profile is None:
        raise ModelError(
            f"The catalogue asks for the prompt profile {name!r}, which this version does not have. It has: "
            f"{', '.join(PROFILES)}. Update local-retab."
        )
    return profile


def _common(
    plan: SchemaPlan,
    parameters: ExtractionParameters,
    pages: Sequence[str],
    images: Sequence[Pixels],
    numbers: Sequence[int] | None = None,
) -> Chat:
    return Chat(build_messages(plan, parameters, pages, images, numbers=numbers))


def _nano(
    plan: SchemaPlan,
    parameters: ExtractionParameters,
    pages: Sequence[str],
    images: Sequence[Pixels],
    numbers: Sequence[int] | None = None,
) -> Chat:
    """The images alone: the small model of this repository answers the keys that the grammar forces."""
    return Chat([Message("user", tuple(images) or join_pages(pages, numbers))])


def _nuextract(
    plan: SchemaPlan,
    parameters: ExtractionParameters,
    pages: Sequence[str],
    images: Sequence[Pixels],
    numbers: Sequence[int] | None = None,
) -> Chat:
    """The typed template goes into the chat template's own variable, advice before the document."""
    advice = [text for text in (plan.system_prompt, parameters.instructions) if text]
    document = illustrated(pages, images, numbers) if images else [join_pages(pages, numbers)]
    head = ["\n\n".join(advice) + "\n\n"] if advice else []
    template = json.dumps(nuextract_template(plan.inference), indent=4, ensure_ascii=False)
    messages = [*additional_messages(parameters), Message("user", (*head, *document))]
    return Chat(messages, {"template": template})


PROFILES: Mapping[str, Profile] = {
    DEFAULT: Profile(_common),
    "nano": Profile(_nano, reads_text=False),
    "nuextract": Profile(_nuextract),
}
