"""Exports the trained network to models/nano and brings its catalogue entry up to date."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated

import torch
import typer
from nano.gguf_pair import write_pair
from nano.model import Decoder, Sizes, Tower

ROOT = Path(__file__).resolve().parent.parent
MOST_BYTES = 32_000_000
ENTRY = """
[[models]]
name = "nano"
title = "local_retab nano, F16"
tier = "test"
parameters = "4.0M"
licence = "Apache-2.0"
modality = "vision"
context_tokens = 4096
prompt_profile = "nano"
note = "Trained in this repository on pages that a program draws; see models/nano/README.md. It proves the way from pixels to data in tests, and is no product for real scans. No tier name means it."
files = [
    { role = "model", filename = "nano.gguf", size = 0, sha256 = "0000000000000000000000000000000000000000000000000000000000000000" },
    { role = "projector", filename = "mmproj-nano.gguf", size = 0, sha256 = "0000000000000000000000000000000000000000000000000000000000000000" },
]
[models.source]
kind = "bundled"
folder = "nano"
"""  # noqa: E501


def load(checkpoints: Path) -> tuple[Tower, Decoder, str]:
    """The newest weights of a training folder, and what they are; before ``join`` those of the first two stages."""
    tower, decoder = Tower(Sizes()), Decoder(Sizes())
    sources = [("join", {"tower": tower, "decoder": decoder})]
    if not (checkpoints / "join.pt").exists():
        sources = [("read", {"tower": tower}), ("answer", {"decoder": decoder})]
    notes = []
    for name, modules in sources:
        state = torch.load(checkpoints / f"{name}.pt", weights_only=True)
        for part, module in modules.items():
            module.load_state_dict(state["modules"][part])
        notes.append(f"{name} step {state['step']}")
    return tower.eval(), decoder.eval(), ", ".join(notes)


def main(
    checkpoints: Annotated[Path, typer.Option(help="Training folder")] = ROOT / "build" / "nano",
    out: Annotated[Path, typer.Option(help="Where the two files go")] = ROOT / "models" / "nano",
) -> None:
    """Write nano.gguf and mmproj-nano.gguf, and their sizes and sha256 into the catalogue."""
    tower, decoder, note = load(checkpoints)
    paths = write_pair(out, tower, decoder, name="local_retab nano", version=note)
    total = sum(path.stat().st_size for path in paths)
    if total > MOST_BYTES:
        raise SystemExit(f"export_nano: {total} bytes together; the limit is {MOST_BYTES}")
    catalogue = ROOT / "models" / "catalogue.toml"
    text = catalogue.read_text()
    if 'name = "nano"' not in text:
        text += ENTRY
    for path in paths:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{path}: {path.stat().st_size} bytes, sha256 {digest}")
        if out == ROOT / "models" / "nano":
            entry = rf'(filename = "{re.escape(path.name)}", size = )\d+(, sha256 = ")\w+"'
            text, count = re.subn(entry, rf'\g<1>{path.stat().st_size}\g<2>{digest}"', text)
            if count != 1:
                raise SystemExit(f"export_nano: {catalogue} has {count} entries for {path.name}")
    if out == ROOT / "models" / "nano":
        catalogue.write_text(text)
    print(f"exported: {note}")


if __name__ == "__main__":
    typer.run(main)
