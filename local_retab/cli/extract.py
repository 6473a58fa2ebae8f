"""``local-retab extract``: one document, one schema, and the result."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from local_retab.cli.output import Output
from local_retab.cli.terminal import has_screen, say, stderr_console, to_json
from local_retab.errors import LocalRetabError, RequestError

if TYPE_CHECKING:
    from local_retab.cli.live import LiveView
    from local_retab.documents import DocumentSource
    from local_retab.service import ExtractionService
    from local_retab.settings import Settings
    from local_retab.wire import Extraction

STDIN = "-"
PAGE_FORMATS = {".png", ".pdf"}
INTERRUPTED = 130
STOPPED = "stopped"

EPILOG = """Example: local-retab extract invoice.pdf --schema invoice.json

Example: cat scan.txt | local-retab extract - --schema invoice.json --ndjson

On a terminal the output fills in live and is printed when complete; otherwise only the result is printed."""


def open_service(settings: Settings) -> ExtractionService:
    """The service that the command runs on; tests put one with a scripted engine here."""
    from local_retab.service import ExtractionService

    return ExtractionService(settings)


def extract(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The document; - reads it from standard input.")],
    schema: Annotated[str, typer.Option(help="The JSON Schema of what to extract: a file, or the schema itself.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="Installed model, retab-micro, -small or -large, or path of a GGUF file. Default: retab-small."
        ),
    ] = None,
    instructions: Annotated[str | None, typer.Option(help="Advice to the model, in plain words.")] = None,
    dpi: Annotated[int | None, typer.Option(help="Resolution of page images, 96 to 300. Default: 192.")] = None,
    modality: Annotated[
        str | None,
        typer.Option(help="What the model is shown: auto, image or text. Default: auto, images where it sees."),
    ] = None,
    image_tokens: Annotated[
        int | None, typer.Option(help="Most tokens for the image of a page. Default: as the model does.")
    ] = None,
    bust_cache: Annotated[
        bool, typer.Option("--bust-cache", help="Ask the model even if the same request was answered before.")
    ] = False,
    pages: Annotated[str | None, typer.Option(help="Pages to read, such as 1-3,7 or 5-. Default: all.")] = None,
    attachments: Annotated[
        bool, typer.Option("--attachments", help="Also read the documents that are attached to a mail (eml, msg).")
    ] = False,
    filename: Annotated[str | None, typer.Option(help="The document's name when it comes from standard input.")] = None,
    n_consensus: Annotated[
        int, typer.Option(help="Votes, 1 to 16, that are reconciled to one result with the likelihood of each value.")
    ] = 1,
    absent_null: Annotated[
        bool,
        typer.Option("--absent-null", help="What is not stated is null, also where the schema does not allow it."),
    ] = False,
    deep_extraction: Annotated[
        bool,
        typer.Option("--deep-extraction", help="Read tables a few rows at a time, and check that none is missing."),
    ] = False,
    chunking_key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ARRAY=FIELD",
            help="Find this field of an array's items first, then each item by it. Repeatable.",
        ),
    ] = None,
    sources: Annotated[bool, typer.Option("--sources", help="Print the result with the source of each value.")] = False,
    annotate: Annotated[
        Path | None, typer.Option(help="Draw the sources on the pages and write them to this .png or .pdf.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the result to this file instead of printing it.")] = None,
    whole: Annotated[
        bool, typer.Option("--json", help="Print the whole extraction: output, id, usage, notices and the request.")
    ] = False,
    ndjson: Annotated[
        bool, typer.Option("--ndjson", help="Print every partial result as a line of JSON; the last is the extraction.")
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", help="Also show the plan before it runs, tokens, seconds by phase, and the codes of errors."
        ),
    ] = False,
) -> None:
    """Extract structured data from a document: a valid value under your JSON Schema, live while it is produced."""
    from local_retab.settings import Settings
    from local_retab.wire import DEFAULT_DPI, DEFAULT_MODEL

    if whole and ndjson:
        raise RequestError("--json and --ndjson: choose one of them.")
    if filename is not None and file != STDIN:
        raise RequestError(f"--filename: only for a document from standard input; {file!r} has a name. Leave it out.")
    if sources and (whole or ndjson):
        raise RequestError("--sources: --json and --ndjson have the sources too. Choose one of them.")
    if annotate is not None and annotate.suffix.lower() not in PAGE_FORMATS:
        raise RequestError(f"--annotate {annotate}: pages are written as .png or .pdf. Choose one of these names.")
    settings = Settings.from_environment()
    model = DEFAULT_MODEL if model is None else model
    located = {"mode": "located"} if sources or annotate or whole or ndjson else None
    request = _Request(
        model,
        instructions,
        DEFAULT_DPI if dpi is None else dpi,
        modality,
        image_tokens,
        n_consensus,
        "null" if absent_null else None,
        located,
        pages,
        attachments,
        bust_cache,
        deep_extraction or None,
        _keys(chunking_key),
    )
    source = _source(file, filename, settings)
    view = _view(model, with_output=output is not None or not ndjson)
    try:
        with Output(output) as out:
            result = _run(
                settings,
                source,
                schema,
                request,
                view=view,
                announce=verbose,
                lines=out if ndjson else None,
            )
            if annotate is not None:
                _annotate(result, source, annotate, request.image_resolution_dpi, settings)
            if not ndjson:
                out.write(to_json(_shown(result, whole=whole, sources=sources)))
    except LocalRetabError as error:
        if verbose:
            _explain(error)
        raise
    for notice in result.notices:
        say(f"{notice.code} at {notice.path or '/'}: {notice.message}", label="warning:", style="bold yellow")
    if sys.stderr.isatty() or verbose:
        _summarise(result, view, output)
    if verbose:
        _report(result)


@dataclass(frozen=True, slots=True)
class _Request:
    """What the options ask for, by the names of the client's arguments."""

    model: str
    instructions: str | None
    image_resolution_dpi: int
    modality: str | None
    image_max_tokens: int | None
    n_consensus: int
    absent: str | None
    sources: dict[str, Any] | None
    pages: str | None
    attachments: bool
    bust_cache: bool
    deep_extraction: bool | None
    chunking_keys: dict[str, str] | None


def _keys(options: list[str] | None) -> dict[str, str] | None:
    """ARRAY=FIELD options as the request has them."""
    pairs = [option.partition("=") for option in options or ()]
    for path, _, key in pairs:
        if not path or not key:
            raise RequestError(f"--chunking-key {path}: write ARRAY=FIELD, such as line_items=number.")
    return {path: key for path, _, key in pairs} or None


def _view(model: str, *, with_output: bool) -> LiveView:
    """The output live where results go to a terminal, the status alone where they do not, else nothing."""
    from local_retab.cli.live import LiveView

    console = stderr_console() if has_screen() else None
    return LiveView(console, model, with_output=with_output and sys.stdout.isatty())


def _source(file: str, filename: str | None, settings: Settings) -> DocumentSource:
    if file != STDIN:
        return file
    from local_retab.documents import load

    return load(sys.stdin.buffer, filename=filename or "standard input", settings=settings).mime_data()


def _run(
    settings: Settings,
    source: DocumentSource,
    schema: str,
    request: _Request,
    *,
    view: LiveView,
    announce: bool,
    lines: Output | None,
) -> Extraction:
    """The finished extraction; every chunk on the way goes to the view and, as a line of JSON, to ``lines``.

    ``announce``: say what the page images will cost before they are looked at.
    """
    from local_retab.client import Retab
    from local_retab.wire import Extraction

    service = open_service(settings)
    with (
        view,
        Retab(transport=service) as client,
        client.extractions.create_stream(source, schema, **asdict(request)) as stream,
    ):
        # Only now: a wrong request should not have to wait for the model.
        view.model = service.store.resolve(request.model, settings).name
        if not stream.answered:
            view.enter("loading the model")
            with _exit_on_interrupt(view):
                service.preload(request.model)
            if announce:
                _announce(service, source, schema, request)
            view.enter("reading the document")
        for chunk in stream:
            view.show(chunk.output, complete=isinstance(chunk, Extraction))
            if lines is not None:
                # Readers split lines at U+2028 and the like too: everything but ASCII is escaped.
                lines.write(chunk.model_dump_json(ensure_ascii=True))
    assert isinstance(chunk, Extraction), "the last chunk of a stream is the extraction"
    return chunk


def _shown(result: Extraction, *, whole: bool, sources: bool) -> Any:
    if whole:
        return result.model_dump(mode="json")
    return result.sources.sources if sources and result.sources else result.output


def _annotate(result: Extraction, source: DocumentSource, path: Path, dpi: int, settings: Settings) -> None:
    from local_retab.documents import load
    from local_retab.extraction.annotation import annotated_pages, save_annotated

    assert result.sources is not None, "sources were asked for"
    save_annotated(annotated_pages(load(source, settings=settings), result.sources, dpi=dpi, settings=settings), path)


def _announce(service: ExtractionService, source: DocumentSource, schema: str, request: _Request) -> None:
    """How the document will be read, and what the page images will cost here, where the model looks at any."""
    from local_retab.documents import load
    from local_retab.schema import load_schema
    from local_retab.wire import ExtractionParameters

    document = load(source, settings=service.settings)
    loaded = load_schema(schema, settings=service.settings)
    parameters = ExtractionParameters(json_schema=loaded, **asdict(request))
    plan = service.reading_plan(document, parameters)
    parts = "at once" if plan.mode == "at_once" else f"in {len(plan.parts)} parts ({plan.mode})"
    pages = "1 page" if plan.pages == 1 else f"{plan.pages} pages"
    say(
        f"plan     {pages} {parts}, {plan.rows} lines that look like rows, {plan.prompt_tokens} tokens to "
        f"read, about {plan.output_tokens} to write, {plan.seconds or 0:.0f} s"
    )
    cost = service.image_cost(document, parameters)
    if cost is not None:
        pages = "1 page" if cost.images == 1 else f"{cost.images} pages"
        say(f"images   {pages}, {cost.tokens} tokens, about {cost.seconds:.1f} s before the answer begins")


@contextmanager
def _exit_on_interrupt(view: LiveView) -> Iterator[None]:
    """Within the block Ctrl-C ends the process at once.

    llama.cpp calls back into Python while it loads, and an exception does not cross its C frames. Nothing has been
    written by then. Where interrupts are ignored, they stay so.
    """

    def end(_signal: int, _frame: object) -> None:
        view.close()
        say(STOPPED)
        os._exit(INTERRUPTED)

    previous = signal.getsignal(signal.SIGINT)
    if previous is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _explain(error: LocalRetabError) -> None:
    """Put the code, and all problems where there are several, beside the message."""
    error.add_note(f"code: {error.code}")
    for problem in error.details.get("problems", ()):
        error.add_note(" ".join(f"{name}: {text}" for name, text in problem.items() if text))


def _summarise(result: Extraction, view: LiveView, output: Path | None) -> None:
    tokens = result.usage.output_tokens if result.usage else 0
    place = f" · written to {output}" if output else ""
    say(f"{result.id} · {view.model} · {view.seconds:.1f} s · {tokens} tokens{place}", style="dim")


def _report(result: Extraction) -> None:
    """What the run took, from the extraction's usage."""
    usage = result.usage
    if usage is None:
        return
    forced = usage.forced_output_tokens / usage.output_tokens if usage.output_tokens else 0.0
    speed = usage.output_tokens / usage.decode_seconds if usage.decode_seconds else 0.0
    drafted = f"{usage.accepted_draft_tokens} of {usage.draft_tokens} drafted tokens right, "
    seen = f"images   {usage.image_tokens} tokens of the prompt, {usage.encoded_images} images encoded\n"
    say(
        f"prompt   {usage.prompt_tokens} tokens, {usage.cached_prompt_tokens} of them from an earlier request\n"
        f"{seen if usage.image_tokens else ''}"
        f"output   {usage.output_tokens} tokens, {forced:.0%} forced by the schema, {drafted}"
        f"{usage.decode_calls} decode calls, "
        f"{speed:.1f} tokens/s\n"
        f"seconds  {usage.queue_seconds:.2f} waiting, {usage.encode_seconds:.2f} encoding images, "
        f"{usage.prefill_seconds:.2f} prefill, "
        f"{usage.decode_seconds:.2f} decoding, of these {usage.grammar_seconds:.2f} for the grammar"
    )
