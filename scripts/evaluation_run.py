"""Runs documents of an evaluation set and keeps what became of each field."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import jsonschema
from evaluation_sets import Item
from evaluation_variants import Variant
from rapidfuzz import fuzz
from rich.console import Console
from rich.progress import Progress
from scoring import Score

from local_retab import Extraction, LocalRetabError, Retab, Settings
from local_retab.extraction.readings import dates, numbers
from local_retab.extraction.spots import bare
from local_retab.service import ExtractionService


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked of every document."""

    model: str
    n: int
    absent: str | None


@dataclass(frozen=True, slots=True)
class Source:
    """A leaf with its source: whether it has one, and whether the words in the box hold the value as printed."""

    path: str
    value: Any
    found: bool
    holds: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one document. ``problem`` says why there is no output."""

    item: Item
    output: Any
    problem: str
    valid: bool
    seconds: float
    prompt_tokens: int
    output_tokens: int
    scores: dict[str, Score]
    likelihoods: dict[str, float]
    sources: dict[str, Source]

    @property
    def right(self) -> int:
        return sum(score.outcome.right for score in self.scores.values())

    @property
    def floor(self) -> int:
        """How many fields null would be right for."""
        return sum(score.outcome.at_floor for score in self.scores.values())


def evaluate(
    items: Sequence[Item], options: Options, variants: Mapping[str, Variant]
) -> Iterator[tuple[str, list[Result]]]:
    """Every item in turn under each variant; the model stays in memory while the settings are the same."""
    console = Console(stderr=True)
    for retries, group in groupby(variants.items(), lambda entry: entry[1].retries):
        chosen = {} if retries is None else {"max_validation_retries": retries}
        service = ExtractionService(Settings.from_environment(**chosen))
        with Retab(transport=service) as client:
            service.preload(options.model)
            for name, variant in group:
                with variant.written(), Progress(console=console, transient=True) as progress:
                    results = [_run(client, item, options, variant) for item in progress.track(items, description=name)]
                yield name, results


def _run(client: Retab, item: Item, options: Options, variant: Variant) -> Result:
    started = time.perf_counter()
    extraction: Extraction | None = None
    problem = ""
    try:
        extraction = client.extractions.create(
            item.document,
            variant.schema(item.schema),
            model=options.model,
            n_consensus=options.n,
            absent=options.absent,
            sources={"mode": variant.sources},
            bust_cache=True,
        )
    except LocalRetabError as error:
        problem = f"{error.code}: {error.message}"
    output = extraction.output if extraction else None
    usage = extraction.usage if extraction else None
    return Result(
        item=item,
        output=output,
        problem=problem,
        valid=jsonschema.Draft202012Validator(item.schema).is_valid(output),
        seconds=time.perf_counter() - started,
        prompt_tokens=usage.prompt_tokens if usage else 0,
        output_tokens=usage.output_tokens if usage else 0,
        scores=item.scores(output),
        likelihoods=dict(_leaves(extraction.likelihoods, "")) if extraction else {},
        sources={source.path: source for source in _sources(extraction)},
    )


def holds(value: Any, content: str) -> bool:
    """Whether the words in a box state a value: as text, in digits, as a day, or nearly so."""
    if isinstance(value, int | float):
        return any(abs(abs(number) - abs(value)) < 1e-6 for number in numbers(content.replace(" ", "")))
    text = str(value)
    return (
        bare(text) in bare(content) or bool(dates(text) & dates(content)) or fuzz.ratio(bare(text), bare(content)) >= 90
    )


def _leaves(tree: Any, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(tree, dict):
        for key, child in tree.items():
            yield from _leaves(child, f"{path}/{key}" if path else key)
    elif isinstance(tree, list):
        for index, child in enumerate(tree):
            yield from _leaves(child, f"{path}/{index}")
    elif isinstance(tree, int | float):
        yield path, float(tree)


def _sources(extraction: Extraction | None) -> Iterator[Source]:
    if extraction is None or extraction.sources is None:
        return
    waiting: list[tuple[str, Any]] = [("", extraction.sources.sources)]
    while waiting:
        path, tree = waiting.pop()
        if isinstance(tree, dict) and tree.keys() == {"value", "source"}:
            value, source = tree["value"], tree["source"]
            if value is not None and not isinstance(value, bool | list | dict):
                yield Source(path, value, source is not None, source is not None and holds(value, source["content"]))
        elif isinstance(tree, dict):
            waiting += [(f"{path}/{key}" if path else key, child) for key, child in tree.items()]
        elif isinstance(tree, list):
            waiting += [(f"{path}/{index}", child) for index, child in enumerate(tree)]
