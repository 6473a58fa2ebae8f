"""Fonts on this machine, the faces that training sees and the faces kept back from it, and their glyphs as masks."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from nano.alphabet import GLYPHS

FOLDERS = (Path("/usr/share/fonts"), Path("~/.fonts"), Path("~/.local/share/fonts"), Path("~/Library/Fonts"))

# File names of freely licensed faces, by the Debian package that brings them.
SEEN = {
    "fonts-dejavu": (
        "DejaVuSans.ttf DejaVuSans-Bold.ttf DejaVuSansMono.ttf DejaVuSansMono-Bold.ttf DejaVuSerif.ttf "
        "DejaVuSerif-Bold.ttf DejaVuSansCondensed.ttf DejaVuSerifCondensed.ttf"
    ),
    "fonts-liberation": (
        "LiberationSans-Regular.ttf LiberationSans-Bold.ttf LiberationSans-Italic.ttf LiberationSerif-Regular.ttf "
        "LiberationSerif-Bold.ttf LiberationMono-Regular.ttf LiberationMono-Bold.ttf"
    ),
    "fonts-freefont-ttf": "FreeSans.ttf FreeSansBold.ttf FreeSerif.ttf FreeMono.ttf FreeMonoBold.ttf",
    "fonts-open-sans": "OpenSans-Regular.ttf OpenSans-Semibold.ttf",
    "fonts-crosextra-carlito": "Carlito-Regular.ttf Carlito-Bold.ttf",
    "fonts-inconsolata": "Inconsolata.otf",
}
UNSEEN = {
    "fonts-roboto-unhinted": "Roboto-Regular.ttf Roboto-Medium.ttf",
    "fonts-lato": "Lato-Regular.ttf Lato-Bold.ttf",
    "fonts-crosextra-caladea": "Caladea-Regular.ttf Caladea-Bold.ttf",
    "fonts-hack": "Hack-Regular.ttf Hack-Bold.ttf",
    "fonts-cantarell": "Cantarell-Regular.otf",
    "fonts-noto-mono": "NotoMono-Regular.ttf",
    "fonts-firacode": "FiraCode-Regular.ttf",
}
CELL_WIDTH, CELL_HEIGHT = 8, 16


@dataclass(slots=True)
class Glyph:
    """One rendered character: coverage 0 to 1, the mask's corner from the pen position, and the advance, in pixels."""

    mask: NDArray[np.float32]
    left: int
    top: int
    advance: float


@dataclass(slots=True)
class Face:
    """One font at one size."""

    path: Path
    size: int
    _glyphs: dict[str, Glyph] = field(default_factory=dict)
    _font: ImageFont.FreeTypeFont | None = None

    def glyph(self, char: str) -> Glyph:
        found = self._glyphs.get(char)
        if found is None:
            found = self._glyphs[char] = self._draw(char)
        return found

    def width(self, text: str) -> float:
        """Pixels that a text advances the pen; no kerning."""
        return sum(self.glyph(char).advance for char in text)

    def _draw(self, char: str) -> Glyph:
        if self._font is None:
            self._font = ImageFont.truetype(str(self.path), self.size, layout_engine=ImageFont.Layout.BASIC)
        mask, (left, top) = self._font.getmask2(char, mode="L", anchor="ls")
        pixels = np.asarray(mask, dtype=np.float32).reshape(mask.size[1], mask.size[0]) / 255
        return Glyph(pixels, left, top, self._font.getlength(char))


class Faces:
    """The faces of one set, each opened once a size. ``cells`` are those of which each character fills one cell."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self._faces: dict[tuple[Path, int], Face] = {}
        sizes = ((path, size) for path in paths for size in (13, 14, 16))
        self.cells = [
            self.face(path, size)
            for path, size in sizes
            if all(self.face(path, size).glyph(char).advance == CELL_WIDTH for char in "iW.0")
        ]

    def face(self, path: Path, size: int) -> Face:
        return self._faces.setdefault((path, size), Face(path, size))


def find_faces(wanted: dict[str, str]) -> Faces:
    """The faces of one set. Exits with what to install where one is missing."""
    present = {
        path.name: path
        for folder in FOLDERS
        if folder.expanduser().is_dir()
        for path in sorted(folder.expanduser().rglob("*"))
        if path.suffix in {".ttf", ".otf"}
    }
    missing = [package for package, names in wanted.items() if not all(name in present for name in names.split())]
    if missing:
        sys.exit(
            f"nano: fonts are missing. Debian: apt-get install {' '.join(missing)}. Elsewhere: put them in ~/.fonts"
        )
    return Faces([present[name] for names in wanted.values() for name in names.split()])


def covers(path: Path) -> bool:
    """Whether a font file has every character that the model is taught."""
    face = Face(path, 16)
    return all(face.glyph(char).advance > 0 for char in GLYPHS)
