"""What a batch is asked for: its documents in order, the schema, and everything that changes an answer."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from local_retab.documents import PageSelection
from local_retab.documents.media_types import is_read
from local_retab.errors import RequestError
from local_retab.schema import load_schema, plan_schema
from local_retab.wire import ExtractionParameters

if TYPE_CHECKING:
    from local_retab.settings import Settings


@dataclass(frozen=True, slots=True)
class Plan:
    """``documents`` are paths, each once; ``fields`` the arguments of every extraction beside document and schema."""

    documents: tuple[str, ...]
    json_schema: dict[str, Any]
    fields: dict[str, Any]

    @classmethod
    def make(cls, inputs: Iterable[str], schema: Path, *, settings: Settings, fields: dict[str, Any]) -> Plan:
        """Check what all documents share, and find them. Raises RequestError and SchemaError."""
        json_schema = load_schema(schema, settings=settings)
        plan_schema(json_schema, settings=settings)
        try:
            parameters = ExtractionParameters(json_schema=json_schema, **fields)
        except ValidationError as error:
            first = error.errors()[0]
            raise RequestError(
                f"{'.'.join(map(str, first['loc']))}: {first['msg']} (got {first['input']!r})."
            ) from error
        if parameters.pages is not None:
            PageSelection.parse(parameters.pages)
        documents = tuple(dict.fromkeys(path for given in inputs for path in _documents(given)))
        if not documents:
            raise RequestError(
                f"{', '.join(inputs)}: no documents in there. Name files, folders or patterns that match."
            )
        return cls(documents, json_schema, fields)

    @property
    def fingerprint(self) -> str:
        """What has to be the same for records of two runs to belong together."""
        text = json.dumps([self.json_schema, self.fields], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _documents(given: str) -> Iterator[str]:
    """The paths that one argument stands for, in the order of their names. A path that names no file stays one."""
    if given.startswith("@"):
        yield from _manifest(given[1:])
    elif os.path.isdir(given):
        for folder, folders, names in os.walk(given):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if not name.startswith(".") and is_read(name):
                    yield os.path.join(folder, name)
    elif not os.path.exists(given) and glob.has_magic(given):
        found = sorted(path for path in glob.iglob(given, recursive=True) if os.path.isfile(path))
        if not found:
            raise RequestError(f"{given!r}: no file matches this pattern.")
        yield from found
    else:
        yield given


def _manifest(name: str) -> Iterator[str]:
    """A path on each line, relative to the manifest's folder; empty lines and such as begin with # are left out."""
    try:
        lines = Path(name).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(
            f"@{name}: the manifest cannot be read: {error}. Give a UTF-8 text file of paths."
        ) from error
    for line in lines:
        if line.strip() and not line.startswith("#"):
            yield os.path.join(os.path.dirname(name), line.strip())
