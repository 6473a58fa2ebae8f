"""Images in the decode loop, step by step, on a backend without a model."""

from __future__ import annotations

import json

import pytest
from llguidance import LLMatcher
from scripted_backend import ANSWER, ScriptedBackend

from local_retab.engine.constraint import Constraint
from local_retab.engine.engine import Engine, tokenize_prompt
from local_retab.engine.images import ImageChunk, ImageSpan, Pixels, chunk_key, position_at, whole_images
from local_retab.engine.scheduler import Scheduler
from local_retab.engine.sequence import Finish, Generation, ImagePart, Limits, PromptPart, Sequence, TokenEvent
from local_retab.errors import ContextLengthError, EngineError, GenerationCancelledError, GenerationTimeoutError

GRAMMAR = LLMatcher.grammar_from_json_schema(json.dumps({"type": "string"}))
LIMITS = Limits(output_tokens=200, seconds=60)


def image(width: int = 2, height: int = 3, shade: int = 0) -> ImagePart:
    return ImagePart(Pixels(width, height, bytes([shade]) * (width * height * 3)))


def echo(prompt: str) -> str:
    """Says what it was shown."""
    return json.dumps(prompt)


def sequence(backend: ScriptedBackend, *parts: str | ImagePart, limits: Limits = LIMITS) -> Sequence:
    prompt = [PromptPart(part, trusted=True) if isinstance(part, str) else part for part in (*parts, ANSWER)]
    tokens = tokenize_prompt(backend, prompt)
    constraint = Constraint.compile(GRAMMAR, backend.grammar_tokenizer())
    return Sequence(tokens.tokens, constraint, limits, images=tokens.images)


def run(scheduler: Scheduler) -> None:
    for _ in range(500):
        if scheduler.idle:
            return
        scheduler.step()
    pytest.fail("not idle after 500 steps")


def outcome(item: Sequence) -> tuple[str, object]:
    data = b""
    while True:
        event = item.events.get_nowait()
        if not isinstance(event, TokenEvent):
            return data.decode(), event
        data += event.data


@pytest.mark.parametrize("positions", [5, 2], ids=["as many positions as tokens", "fewer positions than tokens"])
def test_text_around_images_gets_its_positions(positions: int) -> None:
    backend = ScriptedBackend(echo, image_tokens=5, image_positions=positions)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=16)
    item = sequence(backend, "see ", image(2, 3), " and ", image(4, 5, 9), " now")
    scheduler.add(item)
    run(scheduler)
    assert outcome(item) == ('"see [2x3] and [4x5] now"', Finish.COMPLETE)
    assert item.statistics.image_tokens == 10
    assert item.statistics.encoded_images == scheduler.encoded_images == 2
    assert item.statistics.prompt_tokens == len("see [] and [] now") + 10 + 1


def test_an_image_longer_than_the_chunk_is_decoded_in_pieces() -> None:
    backend = ScriptedBackend(echo, image_tokens=20)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=8)
    scheduler.add(sequence(backend, image()))
    run(scheduler)
    assert backend.pieces == [range(8), range(8, 16), range(16, 20)]


def test_an_image_that_must_be_whole_is_decoded_in_one_call() -> None:
    backend = ScriptedBackend(echo, image_tokens=20, whole=True)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=8)
    scheduler.add(sequence(backend, image()))
    run(scheduler)
    assert backend.pieces == [range(20)]


def test_tiles_are_encoded_one_by_one() -> None:
    backend = ScriptedBackend(echo, image_tokens=3, tiles=4)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=8)
    item = sequence(backend, image())
    scheduler.add(item)
    run(scheduler)
    assert outcome(item)[0] == '"[2x32x32x32x3]"'
    assert [chunk.index for chunk in backend.encoded] == [0, 1, 2, 3]


def test_a_prompt_may_end_with_an_image() -> None:
    backend = ScriptedBackend(lambda prompt: '"x"', image_tokens=5)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=3)
    tokens = tokenize_prompt(backend, [PromptPart(ANSWER, trusted=True), image()])
    assert tokens.tokens.pop() == ord("]")
    item = Sequence(
        tokens.tokens, Constraint.compile(GRAMMAR, backend.grammar_tokenizer()), LIMITS, images=tokens.images
    )
    scheduler.add(item)
    scheduler.step()
    while item.computed < len(tokens.tokens) and not scheduler.idle:
        scheduler.step()
    assert item.output_length > 0


def test_the_same_image_is_encoded_once_and_its_prefix_is_reused() -> None:
    backend = ScriptedBackend(echo, image_tokens=5, image_positions=2, device="gpu")
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=16)
    first, same, other = (sequence(backend, "look: ", image(), question) for question in (" what?", " who?", " what?"))
    for item in (first, same, other):
        scheduler.add(item)
        run(scheduler)
    assert len(backend.encoded) == 1
    assert [item.statistics.encoded_images for item in (first, same, other)] == [1, 0, 0]
    assert same.statistics.reused_tokens == len("look: []") + 5 + len(" wh")
    assert other.statistics.reused_tokens == other.prompt_length - 1
    assert outcome(same)[0] == '"look: [2x3] who?"'


def test_equal_sizes_are_not_equal_images() -> None:
    backend = ScriptedBackend(echo, image_tokens=5)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=16)
    first, other = sequence(backend, "a", image(shade=1), "b"), sequence(backend, "a", image(shade=2), "b")
    for item in (first, other):
        scheduler.add(item)
        run(scheduler)
    assert len(backend.encoded) == 2
    assert other.statistics.reused_tokens == len("a[")


def test_a_prefix_never_ends_within_an_image() -> None:
    backend = ScriptedBackend(echo, image_tokens=5)
    scheduler = Scheduler(backend, max_sequences=2, prefill_chunk=2)
    first = sequence(backend, "a", image(), "b")
    scheduler.add(first)
    while first.computed < 4:
        scheduler.step()
    assert first.image is not None
    second = sequence(backend, "a", image(), "c")
    scheduler.add(second)
    run(scheduler)
    assert second.statistics.reused_tokens == len("a[")
    assert outcome(second)[0] == '"a[2x3]c"'


def test_answers_go_on_while_an_image_is_prefilled() -> None:
    backend = ScriptedBackend(lambda prompt: '"' + "n" * 90 + '"', image_tokens=40, context_tokens=4096)
    scheduler = Scheduler(backend, max_sequences=2, prefill_chunk=8)
    first = sequence(backend, "a")
    scheduler.add(first)
    scheduler.step()
    second = sequence(backend, image(), "b")
    scheduler.add(second)
    before = first.statistics.decode_calls
    for _ in range(5):
        scheduler.step()
    assert second.image is not None
    assert first.statistics.decode_calls == before + 5


def test_cancelling_while_an_image_is_encoded_ends_it_within_the_step() -> None:
    backend = ScriptedBackend(echo, image_tokens=5)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=16)
    first, second = sequence(backend, image()), sequence(backend, image(7, 7))
    backend.before_encode = lambda chunk: Generation(first).cancel()
    scheduler.add(first)
    scheduler.add(second)
    run(scheduler)
    assert isinstance(outcome(first)[1], GenerationCancelledError)
    assert outcome(second) == ('"[7x7]"', Finish.COMPLETE)
    assert [chunk.pixels.width for chunk in backend.encoded] == [7]


def test_the_time_limit_reaches_an_encoding() -> None:
    backend = ScriptedBackend(echo, image_tokens=5)
    scheduler = Scheduler(backend, max_sequences=1, prefill_chunk=16)
    item = sequence(backend, image())

    def too_late(chunk: ImageChunk) -> None:
        item.submitted -= 100

    backend.before_encode = too_late
    scheduler.add(item)
    run(scheduler)
    assert isinstance(outcome(item)[1], GenerationTimeoutError)
    assert not backend.encoded


def test_a_failed_encoding_ends_its_sequence_alone() -> None:
    backend = ScriptedBackend(echo, image_tokens=5)
    scheduler = Scheduler(backend, max_sequences=2, prefill_chunk=16)
    first, second = sequence(backend, image()), sequence(backend, "text")

    def fail(chunk: ImageChunk) -> None:
        raise EngineError("the projector is gone")

    backend.before_encode = fail
    scheduler.add(first)
    scheduler.add(second)
    run(scheduler)
    _data, error = outcome(first)
    assert isinstance(error, EngineError)
    assert error.message == "the projector is gone"
    assert outcome(second) == ('"text"', Finish.COMPLETE)


def test_a_full_cache_sends_a_sequence_with_an_image_back_and_it_comes_out_right() -> None:
    script = '"' + "n" * 60 + '"'
    backend = ScriptedBackend(lambda prompt: script, image_tokens=30, context_tokens=170, sequences=2)
    scheduler = Scheduler(backend, max_sequences=2, prefill_chunk=64)
    items = [sequence(backend, image(shade=shade), "x" * 10) for shade in (1, 2)]
    for item in items:
        scheduler.add(item)
    run(scheduler)
    assert [outcome(item) for item in items] == [(script, Finish.COMPLETE)] * 2
    assert len(backend.encoded) == 2


def test_images_beyond_the_context_are_an_error_that_says_how_many_fit() -> None:
    backend = ScriptedBackend(echo, image_tokens=50, tiles=2, context_tokens=400)
    prompt = [PromptPart("read: ", trusted=True), *(image(shade=shade) for shade in range(5))]
    with Engine(backend, max_sequences=1, prefill_chunk=16) as engine, pytest.raises(ContextLengthError) as caught:
        engine.submit(prompt, GRAMMAR, LIMITS)
    assert "3 of the 5 page images fit" in caught.value.message
    assert caught.value.details == {
        "prompt_tokens": 516,
        "limit": 368,
        "image_tokens": 500,
        "images": 5,
        "images_that_fit": 3,
    }


def test_a_blind_backend_refuses_images() -> None:
    backend = ScriptedBackend(echo)
    with Engine(backend, max_sequences=1, prefill_chunk=16) as engine, pytest.raises(EngineError, match="blind"):
        engine.submit([image()], GRAMMAR, LIMITS)


def test_cells_are_below_zero_and_of_one_image_only() -> None:
    one, two = (chunk(shade, tokens=4) for shade in (1, 2))
    assert len({*one.cells(), *two.cells()}) == 8
    assert max(one.cells() + two.cells()) < 0
    assert one.cells() == chunk(1, tokens=4).cells()


def test_positions_and_prefixes_around_images() -> None:
    images = (ImageSpan(2, chunk(1, tokens=6, positions=2)), ImageSpan(8, chunk(2, tokens=3, positions=1)))
    assert [position_at(index, images) for index in (0, 2, 8, 11, 12)] == [0, 2, 4, 5, 6]
    assert [whole_images(length, images) for length in range(13)] == [0, 1, 2, 2, 2, 2, 2, 2, 8, 8, 8, 11, 12]


def chunk(shade: int, *, tokens: int, positions: int = 1) -> ImageChunk:
    pixels = image(shade=shade).pixels
    return ImageChunk(pixels, chunk_key(b"p", pixels, 0), 0, tokens, positions, whole=False)
