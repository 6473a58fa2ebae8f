"""The official client without a server; the packages that this takes are loaded when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_retab.errors import SettingsError

if TYPE_CHECKING:
    from local_retab.settings import Settings
    from local_retab.transport.sdk import SdkTransport


def sdk_transport(settings: Settings | None = None) -> SdkTransport:
    """An httpx transport that lets the official ``retab`` client run in this process, with no port.

    ::

        client = retab.Retab(api_key="local", base_url="http://local-retab")
        client.client = httpx.Client(transport=local_retab.sdk_transport(), timeout=None)

    ``settings`` default to the environment's. Raises SettingsError when the extra ``server`` is not installed.
    """
    try:
        from local_retab.transport.sdk import SdkTransport
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"The official client's transport needs packages that are not installed ({error.name}). Install them: "
            f'pip install "local-retab[server]".'
        ) from error
    return SdkTransport(settings)
