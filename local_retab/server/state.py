"""What the routes of one application share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from starlette.requests import Request

    from local_retab.server.feed import Admission
    from local_retab.service import ExtractionService


@dataclass(frozen=True, slots=True)
class State:
    """The service, and the runs under way."""

    service: ExtractionService
    admission: Admission


def state_of(request: Request) -> State:
    return cast("State", request.app.state.local_retab)


def service_of(request: Request) -> ExtractionService:
    return state_of(request).service


def base_of(request: Request) -> str:
    """The address that the client reaches this server at."""
    return str(request.base_url).rstrip("/")
