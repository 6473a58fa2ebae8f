"""What an answer is asked with."""

from __future__ import annotations

from local_retab.engine.images import Pixels
from local_retab.engine.sequence import ImagePart, PromptPart, document_start
from local_retab.extraction.answer import with_note

HEAD, TAIL = PromptPart("<rules>", trusted=True), PromptPart("<answer>", trusted=True)
DOCUMENT = PromptPart("The document", trusted=False)


def texts(prompt: list[PromptPart | ImagePart]) -> list[str]:
    return [part.text for part in prompt if isinstance(part, PromptPart)]


def test_a_note_does_not_stand_for_the_document() -> None:
    """Drafts are looked up in the document, and what stands before it is kept on disk for other documents."""
    prompt = with_note(with_note([HEAD, PromptPart("Template", trusted=False), HEAD, DOCUMENT, TAIL], " A."), " B.")
    assert texts(prompt) == ["<rules>", "Template", "<rules>", "The document A. B.", "<answer>"]
    assert document_start(prompt) == 3


def test_a_note_after_an_image() -> None:
    image = ImagePart(Pixels(1, 1, bytes(3)))
    prompt = with_note([HEAD, image, TAIL], "A.")
    assert prompt == [HEAD, image, PromptPart("A.", trusted=False), TAIL]
    assert document_start(prompt) == 1
    assert with_note([TAIL], "A.") == [PromptPart("A.", trusted=False), TAIL]
