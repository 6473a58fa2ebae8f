"""The evaluation sets: their documents, answers and comparisons."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scoring
from scoring import Score

Same = Callable[[Any, Any], bool]


@dataclass(frozen=True, slots=True)
class Item:
    """One document with its answer."""

    id: str
    document: Path
    schema: dict[str, Any]
    gold: dict[str, Any]
    same: Mapping[str, Same]
    """The comparison of each scored field; "" is that of the others."""
    group: str = ""

    def scores(self, output: Any) -> dict[str, Score]:
        """Each scored field of ``output``."""
        value = output if isinstance(output, dict) else {}
        if self.group == "extractbench":
            return dict(_leaf_scores(self.gold, value, ""))
        return {
            name: scoring.score(self.gold[name], value.get(name), self.same.get(name, self.same[""]))
            for name in self.gold
        }


SROIE: Mapping[str, Same] = {
    "date": scoring.same_day_first_date,
    "total": scoring.same_total,
    "": scoring.same_letters_and_digits,
}
ADBUY: Mapping[str, Same] = {
    "contract_num": scoring.same_contract_number,
    "advertiser": scoring.same_name,
    "gross_amount": scoring.same_cents,
    "": scoring.same_pair,
}
SETS = ("retab_schema_quality", "sroie_dev", "adbuy", "kleister_nda", "fieldbench", "extractbench")


def load_items(name: str, data: Path, schema: str = "enum") -> list[Item]:
    """The items of a set; ``schema`` chooses the variant of retab_schema_quality."""
    if name == "retab_schema_quality":
        lines = [line for line in _manifest(data / name) if line["schema"] == f"schemas/{schema}.json"]
        return [_item(data / name, line, {"": scoring.same_retab}) for line in lines]
    if name == "sroie_dev":
        return [_item(data / name, line, SROIE) for line in _manifest(data / name)]
    folder = data / "multi_dev" / name
    same = {"adbuy": ADBUY, "kleister_nda": {"": scoring.same_pair}, "fieldbench": {"": scoring.same_fieldbench}}
    return [_item(folder, line, same.get(name, {"": scoring.same_similar}), name) for line in _manifest(folder)]


def _manifest(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def _item(folder: Path, line: dict[str, Any], same: Mapping[str, Same], name: str = "") -> Item:
    gold = json.loads((folder / line["gold"]).read_text())
    if "scored_fields" in line:
        gold = {field: gold.get(field) for field in line["scored_fields"]}
    return Item(
        id=line["id"].rpartition("/")[2],
        document=folder / line["document"],
        schema=json.loads((folder / line["schema"]).read_text()),
        gold=gold,
        same=same,
        group=f"{name}/{line['source']}" if "source" in line else name,
    )


def _leaf_scores(gold: Any, value: Any, path: str) -> Iterator[tuple[str, Score]]:
    """Every leaf of a nested answer by position."""
    if isinstance(gold, dict):
        for key, item in gold.items():
            yield from _leaf_scores(item, value.get(key) if isinstance(value, dict) else None, f"{path}/{key}")
    elif isinstance(gold, list) and gold:
        for index, item in enumerate(gold):
            inside = isinstance(value, list) and index < len(value)
            yield from _leaf_scores(item, value[index] if inside else None, f"{path}/{index}")
    else:
        yield path, scoring.score(gold, value, scoring.same_similar)
