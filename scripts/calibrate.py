"""Fits the likelihood of one answer on evaluation reports, and checks it on others.

scripts/calibrate --fit FOLDER --check FOLDER reads the JSON reports that scripts/evaluate --out wrote with n=1, and
prints the points of ``extraction/likelihood.py`` with a reliability table and the expected calibration error (ECE,
ten bins of equal width) on reports that were not fitted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console

from local_retab.extraction.likelihood import CALIBRATION, interpolated, raw_of

BINS = 10
MIN_BLOCK = 12


class Leaf(NamedTuple):
    """The raw likelihood of a scored value, and whether the value is right."""

    raw: float
    right: bool


def leaves(folder: Path) -> list[Leaf]:
    """Every scored value of the reports in ``folder``. Reports have calibrated values, which are mapped back."""
    found: list[Leaf] = []
    for path in sorted(folder.glob("*.json")):
        for run in json.loads(path.read_text())["runs"]:
            for field, (outcome, _) in run["scores"].items():
                if field in run["likelihoods"]:
                    right = outcome in ("match", "correct_absence")
                    found.append(Leaf(raw_of(run["likelihoods"][field]), right))
    return found


def fit(found: Sequence[Leaf]) -> list[tuple[float, float]]:
    """Growing points (raw, share right): isotonic regression by pooling neighbours (pool adjacent violators)."""
    blocks: list[list[float]] = []
    for leaf in sorted(found):
        blocks.append([leaf.raw, float(leaf.right), 1.0])
        while len(blocks) > 1 and (
            blocks[-2][2] < MIN_BLOCK or blocks[-2][1] / blocks[-2][2] >= blocks[-1][1] / blocks[-1][2]
        ):
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    points = [(raw / count, right / count) for raw, right, count in blocks]
    return [(0.0, points[0][1]), *points, (1.0, points[-1][1])]


def table(found: Sequence[Leaf], points: Sequence[tuple[float, float]]) -> tuple[list[str], float]:
    """A reliability table in Markdown, and the ECE."""
    rows = ["| likelihood | values | mean likelihood | right |", "| --- | --- | --- | --- |"]
    error = 0.0
    for index in range(BINS):
        inside = []
        for leaf in found:
            likelihood = interpolated(leaf.raw, points)
            if min(int(likelihood * BINS), BINS - 1) == index:
                inside.append((likelihood, leaf.right))
        if inside:
            mean = sum(likelihood for likelihood, _ in inside) / len(inside)
            share = sum(right for _, right in inside) / len(inside)
            error += abs(mean - share) * len(inside) / len(found)
            rows.append(
                f"| {index / BINS:.1f} to {(index + 1) / BINS:.1f} | {len(inside)} | {mean:.2f} | {share:.2f} |"
            )
    return rows, error


def main(
    fitted: Annotated[Path | None, typer.Option("--fit", help="Folder of reports to fit; without: as it is")] = None,
    check: Annotated[Path | None, typer.Option(help="Folder of other reports to check on")] = None,
) -> None:
    """Fit and check the likelihood of one answer."""
    console = Console(width=120)
    points = list(CALIBRATION)
    if fitted:
        points = [(round(raw, 4), round(share, 4)) for raw, share in fit(leaves(fitted))]
        console.print(f"CALIBRATION = {tuple(points)!r}")
    for name, folder in (("fitted", fitted), ("held out", check)):
        if folder:
            found = leaves(folder)
            rows, error = table(found, points)
            console.print("\n".join([f"{name}: {len(found)} values, ECE {error:.3f}", *rows]))


if __name__ == "__main__":
    typer.run(main)
