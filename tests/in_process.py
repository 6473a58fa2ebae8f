"""Settings under which documents are parsed in the test's own process, where it can see and change the readers."""

from __future__ import annotations

from typing import Any

from local_retab.settings import Settings


def in_process(**values: Any) -> Settings:
    return Settings(document_isolation="none", **values)
