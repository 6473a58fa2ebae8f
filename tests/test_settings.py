"""Settings: every field from the environment, and bad values that name their variable."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr, ValidationError

from local_retab.errors import SettingsError
from local_retab.settings import PREFIX, Settings


def kinds(name: str) -> set[Any]:
    """The types of a field, None apart."""
    annotation = Settings.model_fields[name].annotation
    return set(get_args(annotation)) - {type(None)} or {annotation}


def limits(name: str) -> list[Gt | Ge | Lt | Le]:
    return [item for item in Settings.model_fields[name].metadata if isinstance(item, Gt | Ge | Lt | Le)]


def good(name: str) -> tuple[str, Any]:
    """A value that is not the default, as text and as it has to come out."""
    allowed = kinds(name)
    if allowed == {Path}:
        return "/somewhere/else", Path("/somewhere/else")
    if allowed == {bool}:
        return str(not Settings.model_fields[name].default), not Settings.model_fields[name].default
    if allowed <= {int, float}:
        default = Settings.model_fields[name].default
        number = next(value for value in range(1000) if valid(name, value) and value != default)
        return str(number), number
    for kind, text, value in ((SecretStr, "secret", SecretStr("secret")), (..., "one, two", ("one", "two"))):
        if kind in allowed:
            return text, value
    if allowed == {str}:
        return "a name", "a name"
    other = next(value for value in allowed if value != Settings.model_fields[name].default)
    return str(other), other


def valid(name: str, value: Any) -> bool:
    try:
        Settings(**{name: value})
    except ValidationError:
        return False
    return True


def bad(name: str) -> list[str]:
    """Values beyond each limit, and one that is no number."""
    found = []
    for limit in limits(name):
        match limit:
            case Gt(gt):
                found.append(str(gt))
            case Ge(ge):
                found.append(str(ge - 1))  # type: ignore[operator]
            case Lt(lt):
                found.append(str(lt))
            case Le(le):
                found.append(str(le + 1))  # type: ignore[operator]
    return found if kinds(name) & {Path, str, SecretStr} else [*found, "many"]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_field_comes_from_its_variable(name: str) -> None:
    text, value = good(name)
    settings = Settings.from_environment({PREFIX + name.upper(): f" {text} "})
    assert getattr(settings, name) == value
    assert settings.model_copy(update={name: getattr(Settings(), name)}) == Settings()


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in Settings.model_fields for text in bad(name)])
def test_a_bad_value_names_its_variable(name: str, text: str) -> None:
    variable = PREFIX + name.upper()
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({variable: text})
    message = caught.value.message
    assert message.startswith(f"{variable}: ")
    assert f"(got {text!r})" in message
    assert f"Correct or unset {variable}" in message
    assert caught.value.details == {"field": name}


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_number_has_a_bound(name: str) -> None:
    assert not kinds(name) & {int, float} or limits(name)


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_variable_is_an_unset_one(text: str) -> None:
    assert Settings.from_environment({PREFIX + name.upper(): text for name in Settings.model_fields}) == Settings()


def test_other_variables_are_not_looked_at() -> None:
    assert Settings.from_environment({"MAX_PAGES": "3", "LOCAL_RETAB_UNKNOWN": "x", "HOME": "/x"}) == Settings()


def test_overrides_win_over_the_environment() -> None:
    assert Settings.from_environment({"LOCAL_RETAB_MAX_PAGES": "3"}, max_pages=4).max_pages == 4


def test_the_processs_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RETAB_MAX_PAGES", "11")
    assert Settings.from_environment().max_pages == 11
    # Without being asked, settings do not look there.
    assert Settings().max_pages == 200


def test_they_are_frozen_and_know_no_other_names() -> None:
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.max_pages = 3  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Settings(max_page=3)  # type: ignore[call-arg]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_field_is_described(name: str) -> None:
    assert Settings.model_fields[name].description
