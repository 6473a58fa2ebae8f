"""Fresh pages with schemas and answers, and how answers are marked: what ``scripts/evaluate nano`` measures with."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from nano.fonts import SEEN, UNSEEN, find_faces
from nano.layout import PAGES, SECOND, draw_up, stack
from nano.question import ask
from nano.raster import PATCH, rasterise

GROUPS = ("seen_fonts", "seen_fonts", "unseen_fonts", "unseen_words")
COLUMNS, ROWS = (16, 22), (16, 25)  # 256 to 352 by 256 to 400 pixels
LOW = (7, 11)  # rows of each sheet where there are two


@dataclass(frozen=True, slots=True)
class ExamPage:
    """One document to be read: its picture, the schema, and the right answer.

    ``group``: ``seen_fonts`` are pages as in training, drawn afresh; the others have fonts, or words, kept from it.
    ``writing``: ``fixed_pitch``, in cells, or ``proportional``.
    """

    group: str
    writing: str
    kind: str
    picture: Path
    schema: dict[str, Any]
    gold: dict[str, Any]

    def keep(self, folder: Path) -> None:
        """Copy the picture into ``folder``, and beside it a file with the schema and the answer."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.picture, folder)
        text = json.dumps({"schema": self.schema, "gold": self.gold}, indent=1, ensure_ascii=False)
        (folder / self.picture.name).with_suffix(".json").write_text(text + "\n")


def draw_exam(folder: Path, *, seed: int, pages: int, sheets: int = 1) -> list[ExamPage]:
    """Draw documents into ``folder``. Training draws from seeds of another form, so none of these was seen in it.

    Documents of two sheets are small TIFF files, of one sheet PNG files.
    """
    seen, unseen = find_faces(SEEN), find_faces(UNSEEN)
    exam = []
    for index in range(pages):
        rng = random.Random(f"exam {seed} {index}" if sheets == 1 else f"exam {seed} {index} {sheets}")
        group = GROUPS[index % len(GROUPS)]
        faces = unseen if group == "unseen_fonts" else seen
        words, cells = group == "unseen_words", index // 12 % 2 == 0
        side = [rng.randint(*sides) * PATCH for sides in (COLUMNS, ROWS if sheets == 1 else LOW)]
        page = draw_up(faces, *side, rng, kind=PAGES[index % len(PAGES)], cells=cells, unseen=words)
        pictures = [Image.fromarray(rasterise(page, rng)[0])]
        if sheets == 2:
            kind = rng.choice(SECOND)
            second = draw_up(faces, *side, rng, kind=kind, cells=cells, unseen=words, items=False)
            pictures.append(Image.fromarray(rasterise(second, rng)[0]))
            page = stack(page, second)
        question = ask(page, rng)
        picture = folder / f"page-{index:03}{'.png' if sheets == 1 else '.tiff'}"
        more = {"save_all": True, "append_images": pictures[1:], "compression": "tiff_lzw"} if sheets == 2 else {}
        pictures[0].save(picture, **more)
        writing = "fixed_pitch" if cells else "proportional"
        exam.append(ExamPage(group, writing, page.kind, picture, question.schema, json.loads(question.answer)))
    return exam


def mark(gold: dict[str, Any], output: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Each field of an answer and whether it is exactly right. The cells of items are fields of their own; rows that
    are missing or too many are wrong cells."""
    missing = object()
    for key, value in gold.items():
        found = output.get(key, missing)
        if not isinstance(value, list):
            yield kind_of(value), found == value
            continue
        rows = found if isinstance(found, list) else []
        names = value[0] if value else (rows[0] if rows else {})
        if not value and not rows:
            yield "item cell", True
        for index in range(max(len(value), len(rows))):
            for name in names:
                both = index < len(value) and index < len(rows)
                yield "item cell", both and rows[index].get(name) == value[index][name]


def kind_of(value: Any) -> str:
    """A value's kind for the report."""
    return "absent" if value is None else "text" if isinstance(value, str) else "number"


@dataclass(slots=True)
class Marks:
    """Right and all fields, by group and by kind of value."""

    right: Counter[str]
    all: Counter[str]

    @classmethod
    def none(cls) -> Marks:
        return cls(Counter(), Counter())

    def add(self, page: ExamPage, output: dict[str, Any]) -> None:
        for kind, right in mark(page.gold, output):
            for name in (page.group, f"{page.group}_{page.writing}", f"{page.kind}s", kind):
                self.all[name] += 1
                self.right[name] += right

    def share(self, name: str) -> float:
        return self.right[name] / self.all[name] if self.all[name] else 0.0
