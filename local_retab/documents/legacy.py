"""Word and PowerPoint 97-2003 files, which LibreOffice turns into PDF where it is installed. No other program is run.

It runs with a profile of its own that lives as long as the conversion, without macros, active content or links to
elsewhere, without a network proxy that works, in a process group that is killed at the time limit.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from local_retab.documents.document import Document
from local_retab.errors import CorruptDocumentError, DocumentLimitError, UnsupportedDocumentError
from local_retab.settings import Settings

LEGACY = {"application/msword": "doc", "application/vnd.ms-powerpoint": "ppt"}
_PROGRAMS = ("soffice", "libreoffice", "/Applications/LibreOffice.app/Contents/MacOS/soffice")
_MAX_KEPT = 4
"""Conversions that are kept, so that counting pages and reading them convert once."""
_SECURITY = "/org.openoffice.Office.Common/Security/Scripting"
_PROFILE = {
    (_SECURITY, "DisableMacrosExecution"): "true",
    (_SECURITY, "MacroSecurityLevel"): "3",
    (_SECURITY, "BlockUntrustedRefererLinks"): "true",
    (_SECURITY, "DisableActiveContent"): "true",
    ("/org.openoffice.Inet/Settings", "ooInetProxyType"): "2",
    ("/org.openoffice.Inet/Settings", "ooInetHTTPProxyName"): "127.0.0.1",
    ("/org.openoffice.Inet/Settings", "ooInetHTTPProxyPort"): "9",
    ("/org.openoffice.Inet/Settings", "ooInetHTTPSProxyName"): "127.0.0.1",
    ("/org.openoffice.Inet/Settings", "ooInetHTTPSProxyPort"): "9",
    ("/org.openoffice.Office.Writer/Content/Update", "Link"): "0",
}


@lru_cache(maxsize=_MAX_KEPT)
def converted(document: Document, settings: Settings) -> Document:
    """The document as a PDF under its own id and name.

    Raises UnsupportedDocumentError where LibreOffice is not installed, CorruptDocumentError where it makes no PDF,
    and DocumentLimitError over ``max_document_seconds`` or ``max_document_bytes``.
    """
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        raise UnsupportedDocumentError(
            f"{document.filename!r} is a file of Word or PowerPoint 97-2003, which LibreOffice reads, and LibreOffice"
            " is not installed. Install it, or save the file as docx, pptx or PDF."
        )
    with tempfile.TemporaryDirectory(prefix="local-retab-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        source = folder / f"document.{LEGACY[document.mime_type]}"
        source.write_bytes(document.data)
        _write_profile(folder / "profile" / "user")
        _run(program, source, folder, document, settings)
        result = source.with_suffix(".pdf")
        if not result.is_file():
            raise CorruptDocumentError(
                f"{document.filename!r} cannot be read by LibreOffice: it is damaged or protected. Open it in its"
                " program and save it as PDF."
            )
        if result.stat().st_size > settings.max_document_bytes:
            raise DocumentLimitError(
                f"{document.filename!r} is more than {settings.max_document_bytes:,} bytes as PDF. Split it, or raise"
                " LOCAL_RETAB_MAX_DOCUMENT_BYTES."
            )
        return replace(document, data=result.read_bytes(), kind="pdf", mime_type="application/pdf")


def _write_profile(folder: Path) -> None:
    folder.mkdir(parents=True)
    items = "".join(
        f'<item oor:path="{path}"><prop oor:name="{name}" oor:op="fuse"><value>{value}</value></prop></item>'
        for (path, name), value in _PROFILE.items()
    )
    (folder / "registrymodifications.xcu").write_text(
        '<?xml version="1.0" encoding="UTF-8"?><oor:items xmlns:oor="http://openoffice.org/2001/registry"'
        f' xmlns:xs="http://www.w3.org/2001/XMLSchema">{items}</oor:items>',
        encoding="utf-8",
    )


def _run(program: str, source: Path, folder: Path, document: Document, settings: Settings) -> None:
    command = [
        program, f"-env:UserInstallation={(folder / 'profile').as_uri()}", "--headless", "--norestore", "--nologo",
        "--nodefault", "--nolockcheck", "--convert-to", "pdf", "--outdir", str(folder), str(source),
    ]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={**environment, "HOME": str(folder)},
        start_new_session=True,
    )
    try:
        process.wait(settings.max_document_seconds)
    except subprocess.TimeoutExpired as error:
        raise DocumentLimitError(
            f"{document.filename!r} takes LibreOffice more than {settings.max_document_seconds:g} seconds. Save it as"
            " PDF, or raise LOCAL_RETAB_MAX_DOCUMENT_SECONDS."
        ) from error
    finally:
        # It starts a program of its own, which must not outlive it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
