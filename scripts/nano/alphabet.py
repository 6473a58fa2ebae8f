"""The characters and tokens of the model.

Text is read and written byte by byte: one token a byte, so that no text has two tokenisations and the tokens that a
grammar forces are the ones that training saw. Special tokens follow the 256 bytes.
"""

from __future__ import annotations

BOS, EOS, IMAGE_END, IMAGE_BREAK, IMAGE = 256, 257, 258, 259, 260
SPECIAL = {BOS: "<s>", EOS: "</s>", IMAGE_END: "[IMG_END]", IMAGE_BREAK: "[IMG_BREAK]", IMAGE: "[IMG]"}
VOCABULARY = 264  # padded: unused tokens complete a multiple of 8

# What the tower is taught to see. Class 0 means that there is no character.
GLYPHS = "".join(map(chr, range(32, 127))) + "€£"
CLASS_OF = {glyph: index for index, glyph in enumerate(GLYPHS, start=1)}
CLASSES = len(GLYPHS) + 1


def encode(text: str) -> list[int]:
    """Text to tokens."""
    return list(text.encode())


def decode(tokens: list[int]) -> str:
    """Tokens to text; special tokens are left out."""
    return bytes(token for token in tokens if token < BOS).decode("utf-8", "replace")
