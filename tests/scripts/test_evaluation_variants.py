"""Each variant changes the one thing that it names."""

from __future__ import annotations

from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any

import evaluation_run
import pytest
from evaluation_run import Options, evaluate
from evaluation_sets import Item
from evaluation_variants import VARIANTS
from scripted_service import ScriptedService

from local_retab.extraction import profiles
from local_retab.extraction.profiles import profile_named
from local_retab.extraction.prompt import RULES
from local_retab.schema import load_schema, plan_schema
from local_retab.settings import Settings
from local_retab.wire import ExtractionParameters

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "due": {"type": ["string", "null"], "description": "ISO-8601: day", "X-ReasoningPrompt": "Printed only."},
        "lines": {
            "type": "array",
            "items": {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]},
        },
        "total": {"type": "number"},
    },
    "required": ["total", "due", "lines"],
}
PAGE = "  Due     03/02/2024 \n  Total   5"


def written(name: str) -> tuple[str, str]:
    """The system's and the user's message under a variant, about one page."""
    variant, settings = VARIANTS[name], Settings()
    schema = variant.schema(SCHEMA)
    plan = plan_schema(load_schema(schema, settings=settings), settings=settings)
    with variant.written():
        chat = profile_named("default").write(plan, ExtractionParameters(json_schema=schema), [PAGE], [])
    system, user = chat.messages
    assert isinstance(system.content, str)
    assert isinstance(user.content, str)
    return system.content, user.content


def template(name: str) -> list[str]:
    return written(name)[0].partition("The template:\n")[2].split("\n")


DEFAULT = [
    "{",
    '  "total": number,',
    '  "_due": "<the line of the document that states it, or: not stated>", // Printed only.',
    '  "due": string or null, // ISO-8601: day',
    '  "lines": [{',
    '    "a": number',
    "  }, ...]",
    "}",
]


def test_without_a_change_the_prompt_is_the_products() -> None:
    before = profiles.PROFILES
    system, user = written("default")
    assert system.startswith("You read a document")
    assert RULES in system
    assert template("default") == DEFAULT
    assert (
        user
        == f"The document:\n\n{PAGE.replace('2024', '2024 (= 2024-02-03)')}\n\nFill in the template for this document."
    )
    assert profiles.PROFILES is before


def test_the_template_stands_before_or_after_the_document() -> None:
    system, user = written("template_last")
    assert f"{system}\n\nThe template:\n" + "\n".join(DEFAULT) == written("default")[0]
    head, _, tail = written("default")[1].rpartition("\n\n")
    assert user == f"{head}\n\nThe template:\n" + "\n".join(DEFAULT) + f"\n\n{tail}"


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("default", ["total", "_due", "due", "lines", "a"]),
        ("caller_order", ["_due", "due", "lines", "a", "total"]),
        ("reversed_fields", ["lines", "a", "_due", "due", "total"]),
        ("nullable_last", ["total", "lines", "a", "_due", "due"]),
        ("no_reasoning", ["total", "due", "lines", "a"]),
        ("reasoning", ["_total", "total", "_due", "due", "lines", "_a", "a"]),
    ],
)
def test_fields_are_written_in_this_order(name: str, keys: list[str]) -> None:
    assert [line.split('"')[1] for line in template(name) if line.lstrip().startswith('"')] == keys


def test_placeholders_are_written_otherwise() -> None:
    assert template("untyped") == [
        "{",
        '  "total": ...,',
        '  "_due": ..., // Printed only.',
        '  "due": ..., // ISO-8601: day',
        '  "lines": [{',
        '    "a": ...',
        "  }, ...]",
        "}",
    ]
    assert template("null_not_in_template") == [line.replace(" or null", "") for line in DEFAULT]
    assert template("json_schema")[0].startswith('{"type": "object", "properties": {"total": {"type": "number"}')


@pytest.mark.parametrize(
    ("name", "has", "lacks"),
    [
        ("null_untold", "label only. never guess", "Give null"),
        (
            "null_when_not_shown",
            "label only. Give null only when the document does not show the value; never",
            "may be",
        ),
        ("earlier_rules", "without the label", "house"),
        ("unlabelled", "stand at the top of the document.\n- Answer", "\n\n-"),
    ],
)
def test_rules_are_written_otherwise(name: str, has: str, lacks: str) -> None:
    system, _ = written(name)
    assert has in system
    assert lacks not in system
    assert template(name) == DEFAULT


def test_the_page_is_written_otherwise() -> None:
    assert "\nDue 03/02/2024 (= 2024-02-03)\nTotal 5\n" in written("no_layout")[1]
    assert PAGE in written("no_iso_dates")[1]


def test_a_variant_is_undone_also_after_an_error() -> None:
    before = profiles.PROFILES
    with suppress(KeyError), VARIANTS["no_layout"].written():
        assert profiles.PROFILES is not before
        raise KeyError
    assert profiles.PROFILES is before


def test_every_variant_is_run_by_one_service_as_long_as_the_settings_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts: list[str] = []
    services: list[ScriptedService] = []

    def script(prompt: str) -> str:
        prompts.append(prompt)
        return '{"total": 5}'

    def open_service(settings: Settings) -> ScriptedService:
        services.append(ScriptedService(tmp_path, script, max_validation_retries=settings.max_validation_retries))
        return services[-1]

    monkeypatch.setattr(evaluation_run, "ExtractionService", open_service)
    (tmp_path / "page.txt").write_text(PAGE)
    schema = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}
    item = Item("page", tmp_path / "page.txt", schema, {"total": 5}, {"": lambda wanted, value: wanted == value})
    chosen = {name: VARIANTS[name] for name in ("default", "untyped", "no_retry")}
    runs = list(evaluate([item], Options(str(tmp_path / "model.gguf"), 1, None), chosen))
    assert [(name, [result.right for result in results]) for name, results in runs] == [
        ("default", [1]),
        ("untyped", [1]),
        ("no_retry", [1]),
    ]
    assert [typed for typed, _ in groupby('"total": number' in prompt for prompt in prompts)] == [True, False, True]
    assert [service.settings.max_validation_retries for service in services] == [1, 0]


def test_the_variants_are_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "accuracy.md").read_text()
    assert [name for name in VARIANTS if name != "default" and f"`{name}`" not in page] == []
