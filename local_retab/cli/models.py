"""``local-retab models``: which models there are, and the store of those that are installed."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from local_retab.cli.listing import columns, known_models
from local_retab.cli.output import write_line
from local_retab.cli.terminal import file_size, printable, say, to_json
from local_retab.cli.transfer import transfer_progress
from local_retab.errors import ModelError, RequestError

if TYPE_CHECKING:
    from local_retab.settings import Settings
    from local_retab.weights import Store

NAME_HELP = "Name of the model, as in: local-retab models list."

app = typer.Typer(
    help="List, fetch, check and remove models.",
    epilog="Example: local-retab models pull qwen2.5-coder-1.5b-instruct",
    no_args_is_help=True,
)


def open_store(settings: Settings) -> Store:
    """The store of installed models and its catalogue."""
    from local_retab.weights import Catalogue, Store

    return Store(settings.home / "models", Catalogue.load())


def _store() -> Store:
    from local_retab.settings import Settings

    return open_store(Settings.from_environment())


@app.command("list", epilog="Example: local-retab models list --json")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """Show every known model and every installed one: tier, size, licence, what it reads."""
    store = _store()
    rows = known_models(store.catalogue, store.installed())
    if as_json:
        write_line(to_json([asdict(row) for row in rows]))
        return
    header = ("NAME", "TIER", "SIZE", "LICENCE", "READS", "INSTALLED")
    cells = [
        (
            printable(row.name),
            row.tier or "-",
            "unknown" if row.size is None else file_size(row.size),
            row.licence or "unknown",
            row.reads or "unknown",
            "yes" if row.installed else "no",
        )
        for row in rows
    ]
    for line in columns([header, *cells]):
        write_line(line)


@app.command(epilog="Example: local-retab models pull qwen2.5-coder-1.5b-instruct")
def pull(
    name: Annotated[str, typer.Argument(metavar="NAME", help=NAME_HELP)],
    trust_first_download: Annotated[
        bool,
        typer.Option(
            "--trust-first-download",
            help="Accept files whose checksum the catalogue does not know, and hold them to what came from then on.",
        ),
    ] = False,
) -> None:
    """Fetch a model and check it; the only command that uses the network. Run again, it goes on where it stopped."""
    fetched = False
    with transfer_progress() as show:

        def progress(what: str, done: int, total: int | None) -> None:
            nonlocal fetched
            fetched = True
            show(what, done, total)

        model = _store().pull(name, progress, trust_unpinned=trust_first_download)
    say(f"{model.name}: {'installed' if fetched else 'already installed'} in {model.path.parent}")


@app.command("import", epilog="Example: local-retab models import ~/Downloads/model.gguf --name my-model")
def import_model(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The GGUF file; it is copied into the store.")],
    name: Annotated[str | None, typer.Option(help="Name to give it. Without: the name of the file.")] = None,
    projector: Annotated[
        Path | None, typer.Option(help="The GGUF file of its image projector, for models that see.")
    ] = None,
) -> None:
    """Install a model from a GGUF file that you have."""
    with transfer_progress() as progress:
        model = _store().import_model(file, name=name, projector=projector, progress=progress)
    say(f"{model.name}: installed in {model.path.parent}")


@app.command(epilog="Example: local-retab models verify")
def verify(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Model to check. Without: all.")] = None,
) -> None:
    """Read installed models again and compare them with their checksums."""
    store = _store()
    names = [name] if name is not None else [model.name for model in store.installed()]
    failure: ModelError | None = None
    for each in names:
        try:
            with transfer_progress() as progress:
                store.verify(each, progress)
        except ModelError as error:
            say(error.message, label="error:", style="bold red")
            failure = error
        else:
            write_line(f"{printable(each)}: ok")
    if failure is not None:
        raise typer.Exit(failure.exit_code)


@app.command(epilog="Example: local-retab models remove qwen2.5-coder-1.5b-instruct --yes")
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help=NAME_HELP)],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete an installed model."""
    if not yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise RequestError(f"{name}: nobody can be asked whether to delete it. Add --yes.")
        if not typer.confirm(f"Delete {printable(name)}?", err=True):
            say(f"{name}: kept")
            return
    _store().remove(name)
    say(f"{name}: removed")


@app.command("path", epilog="Example: local-retab models path qwen2.5-coder-1.5b-instruct")
def show_path(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"{NAME_HELP} Also retab-micro, -small or -large.")],
) -> None:
    """Print where the file of a model is."""
    from local_retab.settings import Settings

    settings = Settings.from_environment()
    write_line(str(open_store(settings).resolve(name, settings).path))
