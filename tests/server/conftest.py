"""One server and its service for the tests of a module, and no settings of whoever runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import httpx
import pytest
from conformance import CheckedClient, Conformance
from scripted_server import Clock, open_engine, serving_on, settings_for

from local_retab.engine import sequence
from local_retab.service import ExtractionService


@pytest.fixture(autouse=True, scope="session")
def no_settings() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("LOCAL_RETAB_", "RETAB_"))]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExtractionService]:
    found = ExtractionService(settings_for(tmp_path_factory.mktemp("home")), open_engine)
    yield found
    found.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What answers' time limits are held against."""
    found = Clock()
    monkeypatch.setattr(sequence, "time", found)
    return found


@pytest.fixture(scope="module")
def address(service: ExtractionService) -> Iterator[str]:
    with serving_on(service) as found:
        yield found


@pytest.fixture(scope="module")
def conformance(address: str) -> Conformance:
    return Conformance(httpx.get(f"{address}/openapi.json").json())


@pytest.fixture
def http(address: str, conformance: Conformance) -> Iterator[httpx.Client]:
    """A plain client with a key, whose answers must be as our own OpenAPI document says."""
    with CheckedClient(conformance, base_url=address, headers={"Authorization": "Bearer any"}, timeout=30) as client:
        yield client
