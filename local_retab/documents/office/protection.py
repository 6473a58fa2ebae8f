"""Office files with a password: OOXML files that are encrypted as a whole. msoffcrypto is used here only."""

from __future__ import annotations

import io
from dataclasses import replace

from local_retab.documents.containers import OLE_SIGNATURE, ole_contents
from local_retab.documents.document import Document
from local_retab.documents.media_types import identify
from local_retab.errors import EncryptedDocumentError
from local_retab.settings import Settings

_READ_ONLY_PASSWORD = "VelvetSweatshop"
"""What Excel encrypts with to protect against changes, and opens without asking (MS-OFFCRYPTO 2.4.1)."""


def decrypted(document: Document, settings: Settings) -> Document:
    """The document itself, or what an encrypted one holds. Raises EncryptedDocumentError without the right password."""
    if not document.data.startswith(OLE_SIGNATURE) or ole_contents(document.data)[:1] != ["encrypted"]:
        return document
    import msoffcrypto
    from msoffcrypto.exceptions import DecryptionError, InvalidKeyError

    secret = settings.document_password
    out = io.BytesIO()
    try:
        container = msoffcrypto.OfficeFile(io.BytesIO(document.data))
        container.load_key(password=_READ_ONLY_PASSWORD if secret is None else secret.get_secret_value())
        container.decrypt(out)
    except (InvalidKeyError, DecryptionError) as error:
        which = "no password is set" if secret is None else "the password that is set does not open it"
        raise EncryptedDocumentError(
            f"{document.filename!r} is protected by a password, and {which}. Set LOCAL_RETAB_DOCUMENT_PASSWORD, or"
            " save a copy without protection and send that."
        ) from error
    data = out.getvalue()
    return replace(document, data=data, mime_type=identify(data, document.filename, None).mime_type)
