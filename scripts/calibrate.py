"""Fits the likelihood of one answer on evaluation reports, and checks it on others.

scripts/calibrate --fit FOLDER reads the JSON reports that scripts/evaluate --out wrote with n=1, and prints the points
of ``extraction/likelihood.py``, with a reliability table and the expected calibration error (ECE, ten bins of equal
width) of two halves of the documents, each by points that were fitted on the other. --check FOLDER is for reports of
which nothing was fitted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from reliability import Leaf, calibration_error, table
from rich.console import Console

from local_retab.extraction.likelihood import CALIBRATION, interpolated, raw_of

MIN_BLOCK = 12
OWN_SHARE = 0.02
"""How much of a likelihood is its raw probability, so that values of one block keep their order."""


def documents(folder: Path) -> list[list[Leaf]]:
    """The scored values of each document of the reports in ``folder``; likelihoods are mapped back to raw ones."""
    found: list[list[Leaf]] = []
    for path in sorted(folder.glob("*.json")):
        for run in json.loads(path.read_text())["runs"]:
            scored = ((field, outcome) for field, (outcome, _) in run["scores"].items() if field in run["likelihoods"])
            found.append(
                [Leaf(raw_of(run["likelihoods"][name]), end in ("match", "correct_absence")) for name, end in scored]
            )
    return found


def fit(found: Sequence[Leaf]) -> list[tuple[float, float]]:
    """Growing points (raw, share right): isotonic regression by pooling neighbours (pool adjacent violators)."""
    blocks: list[list[float]] = []
    for leaf in sorted(found):
        blocks.append([leaf.likelihood, float(leaf.right), 1.0])
        while len(blocks) > 1 and (
            blocks[-2][2] < MIN_BLOCK or blocks[-2][1] / blocks[-2][2] >= blocks[-1][1] / blocks[-1][2]
        ):
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    points = [(raw / count, right / count) for raw, right, count in blocks]
    ends = [(0.0, points[0][1]), *points, (1.0, points[-1][1])]
    return [(raw, (1 - OWN_SHARE) * share + OWN_SHARE * raw) for raw, share in ends]


def predicted(found: Sequence[Leaf], points: Sequence[tuple[float, float]]) -> list[Leaf]:
    """``found`` with the likelihoods that ``points`` give."""
    return [Leaf(interpolated(leaf.likelihood, points), leaf.right) for leaf in found]


def held_out(found: Sequence[Sequence[Leaf]]) -> list[Leaf]:
    """Every value with the likelihood of points that were fitted on the other half of the documents."""
    halves = [[leaf for document in found[start::2] for leaf in document] for start in (0, 1)]
    return [leaf for here, other in (halves, reversed(halves)) for leaf in predicted(here, fit(other))]


def main(
    fitted: Annotated[Path | None, typer.Option("--fit", help="Folder of reports to fit; without: as it is")] = None,
    check: Annotated[Path | None, typer.Option(help="Folder of other reports to check on")] = None,
) -> None:
    """Fit and check the likelihood of one answer."""
    console = Console(width=120)

    def show(name: str, found: Sequence[Leaf]) -> None:
        console.print("\n".join([f"{name}: {len(found)} values, ECE {calibration_error(found):.3f}", *table(found)]))

    points = list(CALIBRATION)
    if fitted:
        found = documents(fitted)
        together = [leaf for document in found for leaf in document]
        points = [(round(raw, 4), round(share, 4)) for raw, share in fit(together)]
        console.print(f"CALIBRATION = {tuple(points)!r}")
        show("raw", together)
        show("held out, by halves", held_out(found))
    if check:
        show("checked", predicted([leaf for document in documents(check) for leaf in document], points))


if __name__ == "__main__":
    typer.run(main)
