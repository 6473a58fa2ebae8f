"""The pages that the small model is trained and measured on: that they say what their answers say."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import reportlab
from jsonschema import Draft202012Validator
from nano.alphabet import CLASS_OF, EOS, GLYPHS, VOCABULARY, decode, encode
from nano.content import FIELDS, UNSEEN_WORDS, Content, Value
from nano.fonts import Face, Faces, find_faces
from nano.layout import Page, Run, draw_up
from nano.question import NOWHERE, Question, ask
from nano.raster import PATCH, SLOTS, centres, patch_classes, rasterise

from local_retab.schema import plan_schema
from local_retab.settings import Settings

KINDS = ("text", "line", "lines", "receipt", "invoice", "form")
FONTS = Path(reportlab.__file__).parent / "fonts"


@pytest.fixture(scope="module")
def faces() -> Faces:
    found = Faces([FONTS / "Vera.ttf", FONTS / "VeraBd.ttf"])
    found.cells = [found.face(FONTS / "Vera.ttf", 13)]
    return found


def pages(faces: Faces, count: int = 60, **options: bool) -> list[tuple[Page, random.Random]]:
    drawn = []
    for index in range(count):
        rng = random.Random(index)
        kind = KINDS[index % len(KINDS)]
        drawn.append((draw_up(faces, 18 * PATCH, 20 * PATCH, rng, kind=kind, **options), rng))
    return drawn


def test_all_that_a_page_says_is_printed_inside_it(faces: Faces) -> None:
    said = 0
    for page, _ in pages(faces):
        printed = "\n".join(run.text for run in page.runs)
        for run in page.runs:
            assert run.x >= 0
            assert run.x + run.face.width(run.text) <= page.width
            assert run.baseline <= page.height
        values = [*page.says.values(), *(cell for row in page.items for cell in row.values())]
        assert all(value.printed in printed for value in values)
        said += len(values)
    assert said > 200


def test_one_seed_draws_one_page(faces: Faces) -> None:
    first, second = (draw_up(faces, 288, 320, random.Random(5), kind="receipt") for _ in range(2))
    assert [run.text for run in first.runs] == [run.text for run in second.runs]
    pictures = [rasterise(first, random.Random(6))[0] for _ in range(2)]
    assert np.array_equal(*pictures)


def test_in_cells_every_character_has_its_cell(faces: Faces) -> None:
    for page, _ in pages(faces, cells=True):
        assert all(run.x % 8 == 0 and run.baseline % 16 == 12 for run in page.runs)


def test_answers_hold_under_their_schemas_and_come_as_the_grammar_writes_them(faces: Faces) -> None:
    absent = items = 0
    for page, rng in pages(faces):
        question = ask(page, rng)
        value = json.loads(question.answer)
        Draft202012Validator(question.schema).validate(value)
        plan_schema(question.schema, settings=Settings())
        assert question.tokens == [*encode(question.answer), EOS]
        forced = [token for token, mark in zip(question.tokens, question.learn, strict=True) if not mark]
        assert " " not in decode(forced)
        absent += None in value.values()
        items += any(isinstance(field, list) for field in value.values())
    assert absent
    assert items


@pytest.mark.parametrize(("nullable", "learnt"), [(True, '"5 May 2020"'), (False, '5 May 2020"')])
def test_the_first_quote_is_learnt_where_the_value_might_be_null(nullable: bool, learnt: str) -> None:
    page = Page(288, 160, "lines", "$")
    page.says = {"date": Value("5 May 2020", '"5 May 2020"')}
    questions = [ask(page, random.Random(seed)) for seed in range(99)]
    wanted = [
        q
        for q in questions
        if keys(q) == ["date"] and isinstance(q.schema["properties"]["date"]["type"], list) is nullable
    ]
    assert {decode(chosen(question)) for question in wanted} == {learnt}


def test_of_null_the_first_letter_is_learnt_and_of_numbers_that_they_end(faces: Faces) -> None:
    page = Page(288, 160, "lines", "$")
    page.says = {"total": Value("$1,234.50", "1234.50")}
    questions = [question for seed in range(200) if "1234.50" in (question := ask(page, random.Random(seed))).answer]
    for question in questions:
        text = decode(chosen(question))
        assert text.count("n") == question.answer.count("null")
        assert text.replace("n", "") in {"1234.50,", "1234.50}", "$1,234.50"}
        for token, ends in zip(question.tokens, question.ends, strict=True):
            assert not ends or decode([token]) in {",", "}"}
    assert questions


def test_what_is_learnt_is_aimed_at_where_it_is_printed(faces: Faces) -> None:
    aimed = nowhere = 0
    for page, rng in pages(faces, 120):
        question = ask(page, rng)
        for token, aim in zip(question.tokens, question.aims, strict=True):
            if aim is None:
                continue
            name, row, offset = aim
            if offset == NOWHERE:
                assert decode([token]) in {"n", "]"}
                assert (name, row) not in page.places
                nowhere += 1
                continue
            run, start = page.places[name, row]
            shown = (page.runs[run].text + "\0")[start + offset]
            # A comma may stand for a point; quotes, commas and brackets are the answer's own.
            if token < 128:
                assert decode([token]) in {shown, '"', ",", "}", "{"} or (decode([token]), shown) == (".", ",")
            aimed += 1
    assert aimed > 1000
    assert nowhere > 20


def chosen(question: Question) -> list[int]:
    return [token for token, mark in zip(question.tokens, question.learn, strict=True) if mark]


def keys(question: Question) -> list[str]:
    return list(question.schema["properties"])


def test_items_of_an_answer_are_those_of_the_page(faces: Faces) -> None:
    compared = 0
    for page, rng in pages(faces, 120):
        answer = json.loads(ask(page, rng).answer)
        for rows in (value for value in answer.values() if isinstance(value, list)):
            assert len(rows) == len(page.items)
            for row, cells in zip(rows, page.items, strict=True):
                said = [json.loads(value.answer) for value in cells.values()]
                assert all(cell in said for cell in row.values())
                compared += 1
    assert compared > 20


def test_patches_hold_the_characters_whose_middles_lie_in_them() -> None:
    face = Face(FONTS / "Vera.ttf", 16)
    page = Page(4 * PATCH, 2 * PATCH, "text", "", runs=[Run("Wi.", 0, 12, face)])
    classes = patch_classes(page, centres(page, 0.0))
    middle_of_i = face.glyph("W").advance + face.glyph("i").advance / 2
    assert face.glyph("W").advance / 2 < PATCH < middle_of_i
    assert classes[0, :SLOTS].tolist() == [CLASS_OF["W"], 0, 0]
    assert classes[1, :SLOTS].tolist() == [CLASS_OF["i"], CLASS_OF["."], 0]
    assert not classes[2:].any()


def test_a_turned_page_moves_its_characters_with_it() -> None:
    face = Face(FONTS / "Vera.ttf", 16)
    page = Page(320, 320, "text", "", runs=[Run("X", 300, 160, face)])
    place = [int(patch_classes(page, centres(page, skew))[:, 0].argmax()) // 20 for skew in (0.0, 0.12, -0.12)]
    assert place[1] < place[0] < place[2]


def test_damage_leaves_the_size_and_the_ink(faces: Faces) -> None:
    page = draw_up(faces, 288, 320, random.Random(3), kind="text")
    clean, skew = rasterise(page, random.Random(1), damage=0)
    assert skew == 0
    for seed in range(20):
        pixels, _ = rasterise(page, random.Random(seed))
        assert pixels.shape == clean.shape == (320, 288)
        assert pixels.std() > 15


def test_unseen_words_are_kept_from_training() -> None:
    known = " ".join(Content(random.Random(seed)).value("person").printed for seed in range(400))
    assert not set(known.split()) & set(UNSEEN_WORDS)
    other = Content(random.Random(1), unseen=True)
    assert {word for _ in range(50) for word in other.value("person").printed.split()} <= set(UNSEEN_WORDS)


def test_every_value_can_be_printed_and_told() -> None:
    content = [Content(random.Random(seed)) for seed in range(50)]
    for kind in {field.kind for field in FIELDS.values()}:
        for maker in content:
            value = maker.value(kind)
            assert set(value.printed) <= set(GLYPHS)
            assert all(token < VOCABULARY for token in encode(value.answer))


@pytest.mark.parametrize(("comma", "printed"), [(False, "$1,234.50"), (True, "$1.234,50")], ids=["point", "comma"])
def test_amounts_are_printed_in_the_style_of_the_page(comma: bool, printed: str) -> None:
    content = Content(random.Random(1))
    content.symbol, content.after, content.comma, content.space = "$", False, comma, False
    assert content.money(1234.5).printed == printed
    assert content.money(1234.5).answer == "1234.50"


def test_missing_fonts_are_named_with_their_package() -> None:
    with pytest.raises(SystemExit, match="apt-get install fonts-nowhere"):
        find_faces({"fonts-nowhere": "Nowhere-Regular.ttf"})
