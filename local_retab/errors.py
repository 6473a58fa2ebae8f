"""The error tree. Every error that leaves this package is one of these.

::

    LocalRetabError
    ├── RequestError                    422  the request cannot be carried out as asked
    │   ├── FeatureNotAvailableError    422  a hosted feature that this version does not have yet
    │   ├── ModalityError               422  images for a model or of a document that has none
    │   ├── SettingsError               400  a setting or environment variable is wrong
    │   ├── MalformedQueryError         400  a date or filter of a query that cannot be read
    │   ├── AuthenticationError         401  no API key, or another than the server's
    │   ├── HostNotAllowedError         403  a Host header that does not name this server
    │   ├── LinkRefusedError            403  a link whose signature is not this server's
    │   ├── NotFoundError               404  no such record, file or route
    │   │   ├── ExtractionNotFoundError 404  no such extraction
    │   │   ├── ParseNotFoundError      404  no such parse
    │   │   ├── SchemaNotFoundError     404  no such schema generation
    │   │   └── StoredFileNotFoundError 404  no such file, or its bytes were deleted
    │   ├── ConflictError               409  the state of what is asked for does not allow it
    │   ├── LinkExpiredError            410  an upload session or a signed link is over
    │   ├── BodyTooLargeError           413  a request body over max_body_bytes
    │   ├── UploadMismatchError         422  uploaded bytes are not those that were announced
    │   └── OverloadedError             429  as many requests as the server takes are under way
    ├── DocumentError                   422  the document cannot be used
    │   ├── DocumentNotFoundError       422  no such file
    │   ├── UnsupportedDocumentError    422  a type that is not read, or bytes that are not what the name says
    │   ├── CorruptDocumentError        422  broken, truncated, or nothing a reader accepts
    │   ├── EncryptedDocumentError      422  needs a password
    │   ├── EmptyDocumentError          422  no bytes, no pages, or no content
    │   ├── DocumentLimitError          413  over a limit of Settings (bytes, pages, pixels, seconds)
    │   ├── DocumentParserError         422  the process that parsed the document ended or broke its protocol
    │   ├── NoTextError                 422  pages without text for a model that cannot see
    │   ├── RemoteFetchDisabledError    422  a remote URL of a host that nothing is fetched from
    │   └── RemoteFetchError            424  a remote URL of an allowed host could not be fetched
    ├── SchemaError                     422  the schema cannot be used
    │   ├── InvalidSchemaError          422  not a JSON Schema
    │   │   └── UnsatisfiableSchemaError 422  no value is under it
    │   └── UnsupportedSchemaError      422  keywords that can be neither decoded under nor validated
    ├── ModelError                      422  the weights cannot be used
    │   ├── ModelNotFoundError          404  not installed, or not in the catalogue
    │   ├── ModelIntegrityError         422  bytes that differ from their pinned checksum
    │   ├── ModelPullError              424  a download failed
    │   └── ModelLoadError              422  llama.cpp refuses the file
    ├── GenerationError                 422  the run failed
    │   ├── ContextLengthError          422  the prompt does not fit the context
    │   ├── GenerationTimeoutError      422  over the time limit
    │   ├── GenerationCancelledError    409  stopped by its owner
    │   └── OutputValidationError       422  the finished value breaks the caller's schema
    ├── ServerUnreachableError          424  the server of a client over HTTP does not answer, or not as one
    ├── StorageError                    500  the store of records and files cannot be read or written
    └── EngineError                     500  a native call failed; the fault is ours or the machine's
        └── WorkerLostError             503  the engine's process ended during the request; a new one is starting

``code`` is the wire code, ``http_status`` the status of the HTTP API, ``exit_code`` that of the command line.
No permanent failure is a 5xx or a 429: the hosted clients would repeat it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class LocalRetabError(Exception):
    """Base of every error of this package. The message says what happened, to what, and what to do."""

    code: ClassVar[str] = "LOCAL_RETAB_ERROR"
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = dict(details or {})


class RequestError(LocalRetabError):
    """The request cannot be carried out as asked."""

    code = "INVALID_REQUEST"
    http_status = 422
    exit_code = 2


class FeatureNotAvailableError(RequestError):
    """A feature of the hosted API that this version does not have yet."""

    code = "FEATURE_NOT_AVAILABLE"


class ModalityError(RequestError):
    """Images are asked for, and the model cannot see or the document has no pages to look at."""

    code = "MODALITY_NOT_SUPPORTED"


class SettingsError(RequestError):
    """A setting or an environment variable has a value that cannot be used."""

    code = "INVALID_SETTINGS"
    http_status = 400


class MalformedQueryError(RequestError):
    """A query parameter that cannot be read, where the hosted API answers 400 and not 422."""

    code = "MALFORMED_QUERY"
    http_status = 400


class AuthenticationError(RequestError):
    """No API key in the request, or another than the server's."""

    code = "UNAUTHORIZED"
    http_status = 401


class HostNotAllowedError(RequestError):
    """The Host header does not name this server, as in a DNS rebinding attack."""

    code = "HOST_NOT_ALLOWED"
    http_status = 403


class LinkRefusedError(RequestError):
    """A link whose signature is not this server's."""

    code = "LINK_REFUSED"
    http_status = 403


class NotFoundError(RequestError):
    """No such record, file or route."""

    code = "NOT_FOUND"
    http_status = 404


class ExtractionNotFoundError(NotFoundError):
    """No extraction with this id is stored."""

    code = "EXTRACTION_NOT_FOUND"


class ParseNotFoundError(NotFoundError):
    """No parse with this id is stored."""

    code = "PARSE_NOT_FOUND"


class SchemaNotFoundError(NotFoundError):
    """No schema generation with this id is stored."""

    code = "SCHEMA_NOT_FOUND"


class StoredFileNotFoundError(NotFoundError):
    """No file with this id is stored, or its bytes were deleted."""

    code = "FILE_NOT_FOUND"


class ConflictError(RequestError):
    """The state of what is asked for does not allow it."""

    code = "CONFLICT"
    http_status = 409


class LinkExpiredError(RequestError):
    """An upload session or a signed link is over."""

    code = "LINK_EXPIRED"
    http_status = 410


class BodyTooLargeError(RequestError):
    """A request body over ``max_body_bytes``."""

    code = "BODY_TOO_LARGE"
    http_status = 413


class UploadMismatchError(RequestError):
    """Uploaded bytes are not those that were announced: another size or checksum, or none at all."""

    code = "UPLOAD_MISMATCH"


class OverloadedError(RequestError):
    """As many requests as the server takes are under way; trying again later helps."""

    code = "OVERLOADED"
    http_status = 429


class DocumentError(LocalRetabError):
    """The document cannot be used."""

    code = "INVALID_DOCUMENT"
    http_status = 422
    exit_code = 3


class DocumentNotFoundError(DocumentError):
    """The path names no readable file."""

    code = "DOCUMENT_NOT_FOUND"


class UnsupportedDocumentError(DocumentError):
    """A type that is not read, or bytes that are not what the filename or media type says."""

    code = "UNSUPPORTED_DOCUMENT_TYPE"


class CorruptDocumentError(DocumentError):
    """The bytes are broken or truncated."""

    code = "CORRUPT_DOCUMENT"


class EncryptedDocumentError(DocumentError):
    """The document needs a password."""

    code = "ENCRYPTED_DOCUMENT"


class EmptyDocumentError(DocumentError):
    """No bytes, no pages, or no content."""

    code = "EMPTY_DOCUMENT"


class DocumentLimitError(DocumentError):
    """Over one of the document limits of Settings."""

    code = "DOCUMENT_LIMIT_EXCEEDED"
    http_status = 413


class DocumentParserError(DocumentError):
    """The process that parsed the document ended: a crash in a native library, or out of its memory limit."""

    code = "DOCUMENT_PARSER_FAILED"


class NoTextError(DocumentError):
    """Pages without text, and a model that reads text only."""

    code = "NO_TEXT_IN_DOCUMENT"


class RemoteFetchDisabledError(DocumentError):
    """The document is a remote URL, and nothing is fetched from there: its host is not allowed, or not public."""

    code = "REMOTE_FETCH_DISABLED"


class RemoteFetchError(DocumentError):
    """The document is at a host that may be fetched from, and could not be had."""

    code = "REMOTE_FETCH_FAILED"
    http_status = 424


class SchemaError(LocalRetabError):
    """The schema cannot be used."""

    code = "INVALID_SCHEMA"
    http_status = 422
    exit_code = 4


class InvalidSchemaError(SchemaError):
    """Not a JSON Schema, or not readable as one."""


class UnsatisfiableSchemaError(InvalidSchemaError):
    """The keywords contradict each other: no value is under the schema."""


class UnsupportedSchemaError(SchemaError):
    """Keywords that can be neither decoded under nor validated afterwards.

    ``details["problems"]`` lists ``{"path", "keyword", "reason"}`` for each, path a JSON pointer.
    """

    code = "UNSUPPORTED_SCHEMA"


class ModelError(LocalRetabError):
    """The weights cannot be used."""

    code = "MODEL_ERROR"
    http_status = 422
    exit_code = 5


class ModelNotFoundError(ModelError):
    """The model is not installed or not known; the message has the command that installs it."""

    code = "MODEL_NOT_FOUND"
    http_status = 404


class ModelIntegrityError(ModelError):
    """The bytes differ from their pinned size or checksum."""

    code = "MODEL_INTEGRITY"


class ModelPullError(ModelError):
    """A download failed."""

    code = "MODEL_PULL_FAILED"
    http_status = 424


class ModelLoadError(ModelError):
    """llama.cpp refuses the file."""

    code = "MODEL_LOAD_FAILED"


class GenerationError(LocalRetabError):
    """The run failed."""

    code = "GENERATION_FAILED"
    http_status = 422
    exit_code = 6


class ContextLengthError(GenerationError):
    """The prompt does not fit the context."""

    code = "CONTEXT_LENGTH_EXCEEDED"


class GenerationTimeoutError(GenerationError):
    """The run took longer than its time limit."""

    code = "GENERATION_TIMEOUT"


class GenerationCancelledError(GenerationError):
    """The run was stopped by its owner."""

    code = "CANCELLED"
    http_status = 409


class OutputValidationError(GenerationError):
    """The finished value breaks the caller's schema.

    ``details["problems"]`` lists ``{"path", "keyword", "reason"}`` for each, path a JSON pointer into the value.
    """

    code = "OUTPUT_INVALID"


class ServerUnreachableError(LocalRetabError):
    """The server of a client over HTTP does not answer, or does not answer as this program's server does."""

    code = "SERVER_UNREACHABLE"
    http_status = 424
    exit_code = 8


class StorageError(LocalRetabError):
    """The store of records and files cannot be read or written."""

    code = "STORAGE_ERROR"
    http_status = 500
    exit_code = 7


class EngineError(LocalRetabError):
    """A native call failed; the fault is ours or the machine's."""

    code = "ENGINE_ERROR"
    http_status = 500
    exit_code = 70


class WorkerLostError(EngineError):
    """The process of the engine ended during the request (a crash, or killed for memory); a new one is starting."""

    code = "ENGINE_RESTARTED"
    http_status = 503


def _classes(root: type[LocalRetabError]) -> list[type[LocalRetabError]]:
    return [root, *(found for child in root.__subclasses__() for found in _classes(child))]


def error_named(name: str) -> type[LocalRetabError]:
    """The class of this name, EngineError where there is none: for errors that cross processes."""
    return next((found for found in _classes(LocalRetabError) if found.__name__ == name), EngineError)


def error_coded(code: str, http_status: int) -> type[LocalRetabError]:
    """The topmost class of this code, and else the topmost of this status: for errors that came over HTTP."""
    known = _classes(LocalRetabError)[1:]
    found = [kind for kind in known if kind.code == code] or [kind for kind in known if kind.http_status == http_status]
    return found[0] if found else EngineError
