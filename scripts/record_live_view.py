"""Record the live view of a real extraction as a picture: record_live_view.py OUT.svg

The sample invoice is extracted with the starter model; frames of the view, with their real times, are put below one
another.
"""

from __future__ import annotations

import argparse
import io
import re
import tempfile
import time
from pathlib import Path

from make_sample_invoice import make
from pydantic import JsonValue
from rich.console import Console, RenderableType
from rich.rule import Rule

from local_retab import Retab, Settings
from local_retab.cli.live import LiveView
from local_retab.service import ExtractionService

MODEL = "qwen2.5-coder-1.5b-instruct"
SCHEMA = Path(__file__).with_name("sample_invoice_schema.json")
WIDTH, HEIGHT = 96, 44
SHARES = (0.25, 0.6, 1.0)
"""Which moments are shown, from the first partial output to the last."""


def record() -> list[RenderableType]:
    """The frames: the model at its reading, then the output at each of ``SHARES``."""
    view = LiveView(None, MODEL, with_output=True)
    with tempfile.TemporaryDirectory() as folder:
        invoice = Path(folder) / "invoice.pdf"
        make(invoice)
        service = ExtractionService(Settings.from_environment())
        with Retab(transport=service) as client:
            service.preload(MODEL)
            started = time.monotonic()
            with client.extractions.create_stream(invoice, SCHEMA, MODEL, bust_cache=True) as stream:
                partials: list[tuple[float, JsonValue, bool]] = [
                    (time.monotonic() - started, chunk.output, chunk.status == "completed") for chunk in stream
                ]
    first, last = partials[0][0], partials[-1][0]
    view.enter("reading the document")
    frames = [view.frame(first / 2, width=WIDTH, height=HEIGHT)]
    for share in SHARES:
        seconds, output, complete = next(moment for moment in partials if moment[0] - first >= share * (last - first))
        view.show(output, complete=complete)
        frames.append(view.frame(seconds, width=WIDTH, height=HEIGHT))
    return frames


def draw(frames: list[RenderableType]) -> str:
    """The frames below one another, as SVG without fonts from elsewhere."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for index, frame in enumerate(frames):
        if index:
            console.print(Rule(style="dim"))
        console.print(frame)
    svg = console.export_svg(title="local-retab extract invoice.pdf --schema invoice.json")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the SVG file to write")
    out = parser.parse_args().out
    out.write_text(draw(record()), encoding="utf-8")


if __name__ == "__main__":
    main()
