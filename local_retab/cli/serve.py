"""``local-retab serve``: the hosted API on this machine."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from local_retab.cli.terminal import say
from local_retab.errors import SettingsError

if TYPE_CHECKING:
    from local_retab.service import ExtractionService
    from local_retab.settings import Settings

EPILOG = """Example: local-retab serve --port 8000

Example: LOCAL_RETAB_API_KEY=secret local-retab serve --host 0.0.0.0

Point a client of the hosted API at the address: RETAB_API_BASE_URL=http://127.0.0.1:8000 RETAB_API_KEY=any."""

DEFAULT_PORT = 8000


def open_service(settings: Settings) -> ExtractionService:
    """The service that the server runs on; tests put one with a scripted engine here."""
    from local_retab.service import ExtractionService

    return ExtractionService(settings, isolated=settings.isolate)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; another than loopback needs a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = DEFAULT_PORT,
    api_key: Annotated[
        str | None, typer.Option(help="The key that clients must send. Better: LOCAL_RETAB_API_KEY.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Load this model now rather than with its first request.")] = None,
) -> None:
    """Serve the hosted API's interface over HTTP, for its official clients and yours."""
    from local_retab.settings import Settings

    try:
        from local_retab.server.serving import serve as run
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"The server needs packages that are not installed ({error.name}). "
            f'Install them: pip install "local-retab[server]".'
        ) from error
    given: dict[str, Any] = {} if api_key is None else {"api_key": api_key}
    service = open_service(Settings.from_environment(**given))
    # Otherwise a request to end would end the process before the service is closed.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        if model is not None:
            service.preload(model)
        run(service, host, port, ready=lambda address: say(f"serving on {address} (documentation: {address}/docs)"))
    finally:
        service.close()
