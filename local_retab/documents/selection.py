"""Which pages of a document are asked for: ``1-3,7``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from local_retab.errors import RequestError

_MAX_RANGES = 100
_RANGE = re.compile(r"(?P<first>[1-9]\d{0,8})(?P<open>-(?P<last>[1-9]\d{0,8})?)?")


@dataclass(frozen=True, slots=True)
class PageSelection:
    """Ranges of page numbers, which count from 1; both ends belong to a range, and None is the last page."""

    ranges: tuple[tuple[int, int | None], ...]

    @classmethod
    def parse(cls, text: str) -> PageSelection:
        """Numbers and ranges apart by commas; ``5-`` is from 5 to the end. Raises RequestError for anything else."""
        parts = "".join(text.split()).split(",")
        if len(parts) > _MAX_RANGES:
            raise RequestError(f"pages: more than {_MAX_RANGES} ranges. Join them.", details={"field": "pages"})
        return cls(tuple(_range(part) for part in parts))

    def __contains__(self, number: int) -> bool:
        return any(first <= number and (last is None or number <= last) for first, last in self.ranges)

    def __str__(self) -> str:
        return ",".join(
            str(first) if first == last else f"{first}-{'' if last is None else last}" for first, last in self.ranges
        )


def _range(text: str) -> tuple[int, int | None]:
    match = _RANGE.fullmatch(text)
    if match is not None:
        first = int(match["first"])
        last = int(match["last"]) if match["last"] else None if match["open"] else first
        if last is None or first <= last:
            return first, last
    raise RequestError(
        f"pages: {text!r} is not a page or a range of pages. Write numbers from 1 and ranges, such as '1-3,7' or '5-'.",
        details={"field": "pages"},
    )
