"""Tables of an evaluation: on the screen, as JSON and as Markdown."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluation_run import Result
from evaluation_svg import Bars, Reliability, Share
from panels_svg import draw
from reliability import Leaf
from rich.console import Console
from rich.table import Table
from scoring import Outcome

MAX_BARS = 14


@dataclass(frozen=True, slots=True)
class Report:
    """The results of one set under one setting."""

    title: str
    model: str
    results: list[Result]

    def summary(self) -> dict[str, Any]:
        """The counts, and every field of every document."""
        results = self.results
        counts = Counter(score.outcome for result in results for score in result.scores.values())
        scored = sum(len(result.scores) for result in results)
        return {
            "title": self.title,
            "model": self.model,
            "documents": len(results),
            "scored": scored,
            "right": sum(result.right for result in results),
            "credit": sum(score.credit for result in results for score in result.scores.values()),
            "floor": sum(result.floor for result in results),
            "outcomes": {outcome.value: counts[outcome] for outcome in Outcome},
            "schema_valid": sum(result.valid for result in results),
            "seconds": round(sum(result.seconds for result in results), 1),
            "prompt_tokens": sum(result.prompt_tokens for result in results),
            "output_tokens": sum(result.output_tokens for result in results),
            "fields": self.by_field(),
            "groups": self.by_group(),
            "runs": [self._run(result) for result in results],
        }

    def by_field(self) -> dict[str, dict[str, float]]:
        """Right, credit, count and floor of each field; none of nested answers, whose leaves have their own places."""
        found: dict[str, dict[str, float]] = {}
        for result in self.results:
            for field, score in result.scores.items():
                if "/" not in field:
                    entry = found.setdefault(field, {"right": 0, "credit": 0.0, "count": 0, "floor": 0})
                    entry["right"] += score.outcome.right
                    entry["credit"] += score.credit
                    entry["count"] += 1
                    entry["floor"] += score.outcome.at_floor
        return found

    def by_group(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for result in self.results:
            entry = found.setdefault(result.item.group, {"right": 0, "scored": 0, "floor": 0})
            entry["right"] += result.right
            entry["scored"] += len(result.scores)
            entry["floor"] += result.floor
        return found

    def shares(self) -> list[Share]:
        """All fields, then each; where there are too many to look at, or they are nested, each group."""
        fields = [Share(name, int(e["right"]), int(e["count"]), int(e["floor"])) for name, e in self.by_field().items()]
        groups = [Share(name, e["right"], e["scored"], e["floor"]) for name, e in self.by_group().items() if name]
        scored = sum(len(result.scores) for result in self.results)
        whole = Share("all", sum(r.right for r in self.results), scored, sum(r.floor for r in self.results))
        return [whole, *(fields if 0 < len(fields) <= MAX_BARS else groups)]

    def leaves(self) -> list[Leaf]:
        """The likelihood of every scored value that has one."""
        return [
            Leaf(result.likelihoods[field], score.outcome.right)
            for result in self.results
            for field, score in result.scores.items()
            if field in result.likelihoods
        ]

    def sources(self) -> tuple[int, int, int]:
        """Right, printed leaves; those of them with a source; sources whose box holds the value."""
        right = [
            result.sources[field]
            for result in self.results
            for field, score in result.scores.items()
            if score.outcome is Outcome.MATCH and field in result.sources
        ]
        found = [source for source in right if source.found]
        return len(right), len(found), sum(source.holds for source in found)

    def _run(self, result: Result) -> dict[str, Any]:
        return {
            "id": result.item.id,
            "output": result.output,
            "problem": result.problem,
            "seconds": round(result.seconds, 2),
            "scores": {field: [score.outcome.value, score.credit] for field, score in result.scores.items()},
            "likelihoods": result.likelihoods,
            "sources": {path: asdict(source) for path, source in result.sources.items()},
        }

    def show(self, console: Console) -> None:
        table = Table("document", "field", "outcome", "value", "answer", title=f"{self.title}, {self.model}")
        for result in self.results:
            if result.problem:
                table.add_row(result.item.id, "", "no output", result.problem[:90], "")
                continue
            for field, score in result.scores.items():
                if not score.outcome.right and "/" not in field:
                    value = result.output.get(field) if isinstance(result.output, dict) else None
                    shown = [f"{each!r}"[:90] for each in (value, result.item.gold.get(field))]
                    table.add_row(result.item.id, field, score.outcome.value, *shown)
        console.print(table)
        for line in self.lines():
            console.print(line)

    def lines(self) -> list[str]:
        """The figures, a line each."""
        summary = self.summary()
        printed, found, holding = self.sources()
        seconds = summary["seconds"] / max(summary["documents"], 1)
        return [
            *(
                f"{name}: {entry['right']:.0f} of {entry['count']:.0f}, credit {entry['credit'] / entry['count']:.3f}"
                for name, entry in summary["fields"].items()
            ),
            *(f"{name}: {entry['right']} of {entry['scored']}" for name, entry in summary["groups"].items() if name),
            f"right: {summary['right']} of {summary['scored']} (credit {summary['credit']:.1f}); "
            f"all-null floor: {summary['floor']}; schema-valid: {summary['schema_valid']} of {summary['documents']}",
            ", ".join(f"{name}: {count}" for name, count in summary["outcomes"].items()),
            f"sources: {found} of {printed} right values, {holding} of {found} boxes hold the value",
            f"{seconds:.1f} s a document, and {summary['prompt_tokens']} prompt and {summary['output_tokens']} output "
            "tokens in all",
        ]

    def save(self, folder: Path) -> None:
        """``<title>.json``, ``<title>.md`` and, of the shares and the likelihoods, ``<title>.svg``."""
        folder.mkdir(parents=True, exist_ok=True)
        name = self.title.replace(" ", "-")
        (folder / f"{name}.json").write_text(json.dumps(self.summary(), indent=1))
        panels = [Bars(self.title, self.shares()), Reliability("Likelihoods", self.leaves())]
        (folder / f"{name}.svg").write_text(draw(panels))
        wrong = [
            f"| {result.item.id} | {field} | {score.outcome.value} |"
            for result in self.results
            for field, score in result.scores.items()
            if not score.outcome.right
        ]
        body = [f"# {self.title}", "", f"Model: {self.model}", "", *(f"- {line}" for line in self.lines()), ""]
        table = ["| document | field | outcome |", "| --- | --- | --- |", *wrong]
        (folder / f"{name}.md").write_text("\n".join([*body, *(table if wrong else [])]) + "\n")
