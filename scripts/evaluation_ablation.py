"""One table of what each variant changes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluation_report import Report
from evaluation_svg import Bars, Share
from evaluation_variants import VARIANTS
from panels_svg import draw


@dataclass(frozen=True, slots=True)
class Ablation:
    """The reports of one set by the variants' names, in the order of their runs."""

    title: str
    model: str
    reports: dict[str, Report] = field(default_factory=dict)

    def rows(self) -> list[dict[str, Any]]:
        """Of each variant: what it changes, right, of, tokens, and right of each field or group."""
        return [self._row(name, report) for name, report in self.reports.items()]

    @staticmethod
    def _row(name: str, report: Report) -> dict[str, Any]:
        whole, *shares = report.shares()
        summary = report.summary()
        return {
            "variant": name,
            "change": VARIANTS[name].about,
            "right": whole.right,
            "of": whole.count,
            "floor": whole.floor,
            "schema_valid": summary["schema_valid"],
            "prompt_tokens": summary["prompt_tokens"],
            "output_tokens": summary["output_tokens"],
            "by": {share.name: share.right for share in shares},
        }

    def markdown(self) -> list[str]:
        """The table, a line each."""
        rows = self.rows()
        names = list(rows[0]["by"])
        head = ["variant", "change", "right", "of", *names, "prompt tokens", "output tokens"]
        tokens = ("prompt_tokens", "output_tokens")
        body = [
            [
                *(row[key] for key in ("variant", "change", "right", "of")),
                *row["by"].values(),
                *(row[key] for key in tokens),
            ]
            for row in rows
        ]
        return [f"| {' | '.join(map(str, cells))} |" for cells in (head, ["---"] * len(head), *body)]

    def save(self, folder: Path) -> None:
        """``<title> ablation`` as JSON, Markdown and SVG."""
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{self.title} ablation".replace(" ", "-")
        (folder / f"{name}.json").write_text(
            json.dumps({"title": self.title, "model": self.model, "rows": self.rows()}, indent=1)
        )
        text = [f"# {self.title}: one thing changed", "", f"Model: {self.model}", "", *self.markdown()]
        (folder / f"{name}.md").write_text("\n".join(text) + "\n")
        shares = [Share(each["variant"], each["right"], each["of"], each["floor"]) for each in self.rows()]
        (folder / f"{name}.svg").write_text(draw([Bars(self.title, shares)]))
