"""The command line: the composition root, which alone reads the environment and talks to a terminal.

Results go to standard output, everything else to standard error. Each command imports what it needs when it runs, so
that help is instant.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from local_retab.cli import batch, doctor, extract, models, serve, tune
from local_retab.cli.terminal import say
from local_retab.errors import LocalRetabError

BROKEN_PIPE = 141

EPILOG = """Example: local-retab models pull qwen2.5-coder-1.5b-instruct

Example: local-retab extract invoice.pdf --schema invoice.json

Exit codes: 0 done, 1 batch done with errors, 2 wrong request or usage, 3 document, 4 schema, 5 model, 6 generation, \
7 store, 8 server, 70 engine, 130 interrupted, 141 reader gone.

Settings are environment variables that begin with LOCAL_RETAB_; local-retab doctor lists them."""


class Commands(TyperGroup):
    """The boundary: whatever a command ends with becomes one line on standard error and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except LocalRetabError as error:
            say("\n".join([error.message, *getattr(error, "__notes__", ())]), label="error:", style="bold red")
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            say(extract.STOPPED)
            raise typer.Exit(extract.INTERRUPTED) from error
        except BrokenPipeError as error:
            # What is still buffered must not fail again when the interpreter flushes it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(BROKEN_PIPE) from error


app = typer.Typer(
    cls=Commands,
    help="Structured data from documents, on this machine, offline: a document and a JSON Schema in, valid JSON out.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command(epilog=extract.EPILOG)(extract.extract)
app.command(epilog=batch.EPILOG)(batch.batch)
app.command(epilog=serve.EPILOG)(serve.serve)
app.add_typer(models.app, name="models")
app.command(epilog=doctor.EPILOG)(doctor.doctor)
app.command(epilog=tune.EPILOG)(tune.tune)


def _show_version(wanted: bool) -> None:
    if wanted:
        from local_retab import __version__

        typer.echo(f"local-retab {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line with the process's arguments."""
    app(prog_name="local-retab")
