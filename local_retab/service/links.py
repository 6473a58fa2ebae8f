"""Signed links: whoever has one may upload or download one file until it expires, without a key."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import TYPE_CHECKING

from local_retab.errors import LinkExpiredError, LinkRefusedError

if TYPE_CHECKING:
    from datetime import datetime

    from local_retab.storage import Database

SECRET = "links"


class Links:
    """Signs with a key that is in the store, so that links outlive a restart. The signature binds method, file, end."""

    def __init__(self, database: Database) -> None:
        self._secret = database.secret(SECRET)

    def path(self, method: str, file_id: str, expires_at: datetime) -> str:
        """Path and query of a link that is good for one method on one file."""
        expires = str(int(expires_at.timestamp()))
        return f"/v1/files/{file_id}/content?expires={expires}&signature={self._signature(method, file_id, expires)}"

    def check(self, method: str, file_id: str, expires: str, signature: str) -> None:
        """Raises LinkRefusedError for a wrong signature, LinkExpiredError for one whose time is over."""
        if not hmac.compare_digest(signature.encode(), self._signature(method, file_id, expires).encode()):
            raise LinkRefusedError("The link is not one of this server's, or was changed. Ask for a new link.")
        if not expires.isdecimal() or int(expires) < time.time():
            raise LinkExpiredError("The link has expired. Ask for a new one.")

    def _signature(self, method: str, file_id: str, expires: str) -> str:
        text = f"{method}\n{file_id}\n{expires}".encode()
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()
