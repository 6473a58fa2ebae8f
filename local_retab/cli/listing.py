"""The known models, installed or not, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_retab.weights import Catalogue, InstalledModel

READS = {"text": "text", "vision": "text, images"}


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One model of the catalogue or the store. ``size`` in bytes; None where a fact is not known."""

    name: str
    title: str
    tier: str | None
    size: int | None
    licence: str | None
    reads: str | None
    installed: bool


def known_models(catalogue: Catalogue, installed: Sequence[InstalledModel]) -> list[KnownModel]:
    """The catalogue in its order, then what was imported."""
    on_disk = {model.name: model for model in installed}
    rows = []
    for entry in catalogue.models:
        model = on_disk.pop(entry.name, None)
        sizes = [file.size for file in entry.files]
        known = sum(size for size in sizes if size is not None) if sizes and None not in sizes else None
        rows.append(
            KnownModel(
                entry.name,
                entry.title,
                entry.tier,
                _size_on_disk(model) if model else known,
                entry.licence,
                READS[entry.modality],
                model is not None,
            )
        )
    imported = [KnownModel(m.name, m.name, None, _size_on_disk(m), None, _reads(m), True) for m in on_disk.values()]
    return rows + imported


def _reads(model: InstalledModel) -> str:
    return READS["text" if model.projector is None else "vision"]


def _size_on_disk(model: InstalledModel) -> int:
    return sum(path.stat().st_size for path in (model.path, model.projector) if path is not None)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
