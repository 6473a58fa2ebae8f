"""One frozen Settings object. The environment is read here and nowhere else, once per call of ``from_environment``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_cache_path
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from local_retab.errors import SettingsError

PREFIX = "LOCAL_RETAB_"
MIB = 1024 * 1024


Names = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: [name.strip() for name in value.split(",")] if isinstance(value, str) else value),
]
"""Several names; in an environment variable separated by commas."""


_FETCH_HOST = re.compile(r"(https?://)?([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(:[0-9]{1,5})?", re.IGNORECASE)


def _check_hosts(entries: tuple[str, ...]) -> tuple[str, ...]:
    for entry in entries:
        match = _FETCH_HOST.fullmatch(entry)
        if match is None or int((match[4] or ":1")[1:]) not in range(1, 65536):
            raise ValueError(f"{entry!r} is not a host name such as files.example.com or http://intranet.example.com")
    return entries


FetchHosts = Annotated[Names, AfterValidator(_check_hosts)]


class Settings(BaseModel):
    """Every limit and choice. Each field is also an environment variable: ``LOCAL_RETAB_`` and its name in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path = Field(
        default_factory=lambda: user_cache_path("local-retab"),
        description="Where models, records and files are kept.",
    )
    model_micro: str | None = Field(
        default=None, description="The model that retab-micro means; unset: the best installed."
    )
    model_small: str | None = Field(
        default=None, description="The model that retab-small means; unset: the best installed."
    )
    model_large: str | None = Field(
        default=None, description="The model that retab-large means; unset: the best installed."
    )

    max_document_bytes: int = Field(default=64 * MIB, gt=0, description="Largest document.")
    max_pages: int = Field(default=200, gt=0, description="Most pages (PDF) or frames (images) of one document.")
    max_page_pixels: int = Field(default=40_000_000, gt=0, description="Most pixels of one rendered or decoded page.")
    max_text_chars: int = Field(default=2_000_000, gt=0, description="Most characters of text of one document.")
    max_document_seconds: float = Field(default=30.0, gt=0, description="Longest time to read one document.")
    max_archive_bytes: int = Field(
        default=256 * MIB, gt=0, description="Most bytes that the parts of a zipped Office file unpack to."
    )
    max_archive_entries: int = Field(default=10_000, gt=0, description="Most parts of a zipped Office file.")
    document_isolation: Literal["process", "none"] = Field(
        default="process", description="Where untrusted files are parsed: each in a child process, or in this one."
    )
    max_parser_bytes: int = Field(
        default=1536 * MIB, gt=0, description="Most memory of the process that parses one document (Linux)."
    )
    document_password: SecretStr | None = Field(
        default=None, description="Password for documents that are protected by one."
    )

    ocr: Literal["auto", "always", "never"] = Field(
        default="auto", description="Read pages from their pixels: where their text cannot be used, always, or never."
    )
    max_ocr_seconds: float = Field(default=600.0, gt=0, description="Longest time to read one document by OCR.")
    ocr_cache_bytes: int = Field(default=64 * MIB, ge=0, description="OCR results kept on disk; 0: none.")

    page_cache_bytes: int = Field(
        default=128 * MIB,
        ge=0,
        description="Memory for the pages of the documents that were read last; 0, or keep=none: none.",
    )

    absent: Literal["schema", "null"] = Field(
        default="schema",
        description="What the document does not state: as the schema says, or null, as the hosted service has it.",
    )

    max_schema_bytes: int = Field(default=2 * MIB, gt=0, description="Largest JSON schema, as compact JSON.")
    max_schema_depth: int = Field(default=64, gt=0, description="Deepest nesting of a JSON schema.")

    modality: Literal["auto", "image", "text"] = Field(
        default="auto",
        description="What a model is shown: images and text where it sees, else text; images alone; text alone.",
    )
    image_min_tokens: int | None = Field(
        default=None, gt=0, description="Least tokens for the image of a page; unset: as the model does."
    )
    image_max_tokens: int | None = Field(
        default=None, gt=0, description="Most tokens for the image of a page; unset: as the model does."
    )
    image_cache_bytes: int = Field(
        default=512 * MIB, ge=0, description="Memory for the embeddings of images that were seen."
    )

    context_tokens: int = Field(default=16384, gt=0, description="Tokens of context for prompt and answer together.")
    max_sequences: int = Field(default=5, ge=1, le=64, description="Sequences that decode at once.")
    prefill_chunk_tokens: int | None = Field(
        default=None,
        ge=16,
        description="Most prompt tokens of one step; unset: as tuned, else 128 on a CPU, 512 on a GPU.",
    )
    prefix_cache_dir: Path | None = Field(
        default=None,
        description="Where the computed templates of schemas are kept between runs; unset: under LOCAL_RETAB_HOME.",
    )
    prefix_cache_bytes: int = Field(
        default=1024 * MIB, ge=0, description="Computed templates kept on disk; 0, or keep=none: none."
    )
    max_output_tokens: int = Field(default=4096, gt=0, description="Most tokens of one answer.")
    max_string_chars: int = Field(
        default=2000, gt=0, description="Longest string in an answer where the schema sets no maxLength."
    )
    max_generation_seconds: float = Field(default=600.0, gt=0, description="Longest time for one answer.")
    max_validation_retries: int = Field(
        default=1, ge=0, description="New attempts after an answer that fails validation."
    )
    chunks_per_second: float = Field(default=20.0, gt=0, description="Most partial outputs a second in a stream.")

    threads: int | None = Field(default=None, gt=0, description="Decoding threads; unset: as tuned, else all cores.")
    flash_attention: bool | None = Field(
        default=None,
        description="The fused attention kernel; unset: as tuned, else on a GPU, or where it is our own.",
    )
    gpu_layers: int | None = Field(
        default=None, ge=-1, description="Layers on the GPU, -1 all; unset: all when llama.cpp has a GPU."
    )

    keep: Literal["all", "none"] = Field(
        default="all", description="What is kept of requests: all (records, documents, cached results), or none."
    )
    keep_days: float | None = Field(default=None, gt=0, description="Days after which what is kept is deleted.")
    max_cache_bytes: int = Field(default=256 * MIB, ge=0, description="Size of the result cache; 0 turns it off.")

    api_key: SecretStr | None = Field(default=None, description="The key that the server asks for; unset: any.")
    allowed_hosts: Names = Field(default=(), description="Further Host headers that the server answers to.")
    fetch_hosts: FetchHosts = Field(
        default=(),
        description="Hosts that the server may fetch documents from, over https; `http://NAME` allows that host http, "
        "and `:PORT` another port.",
    )
    fetch_seconds: float = Field(default=30.0, gt=0, description="Longest time to fetch one document.")
    cors_origins: Names = Field(default=(), description="Web origins that may call the server.")
    isolate: bool = Field(default=True, description="Whether the server runs the engine in a process of its own.")
    max_body_bytes: int = Field(default=96 * MIB, gt=0, description="Largest body of a request to the server.")
    max_requests: int = Field(default=64, gt=0, description="Most extractions under way in the server, waiting or not.")
    max_queued_requests: int = Field(default=1000, gt=0, description="Most background requests that wait.")
    heartbeat_seconds: float = Field(default=10.0, gt=0, description="A blank line in a stream after so long a pause.")
    link_seconds: float = Field(default=3600.0, gt=0, description="How long upload and download links are good for.")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
        """Settings from the environment, then ``overrides``. Raises SettingsError naming the bad variable."""
        environment = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        for name in cls.model_fields:
            text = environment.get(PREFIX + name.upper(), "").strip()
            if text:
                values[name] = text
        try:
            return cls(**{**values, **overrides})
        except ValidationError as error:
            first = error.errors()[0]
            field = str(first["loc"][0]) if first["loc"] else "settings"
            variable = PREFIX + field.upper()
            raise SettingsError(
                f"{variable}: {first['msg']} (got {first['input']!r}). Correct or unset {variable}.",
                details={"field": field},
            ) from error
