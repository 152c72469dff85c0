"""Text coder 3: words as consonants, four bits each, after semantic compression at micro-bits (arXiv 2402.13536).

    text ─► words ─► skeletons of fifteen consonants ─► two symbols a byte, space between words

Vowels and y are dropped, doubled letters written once, rare consonants folded: k, q to c; j to g; z to s; x to cs.
"the white robe" becomes "th wht rb". Such a word without vowels is called a skeleton.
`misc.models.language_model.skeleton` recovers the words.
"""

from __future__ import annotations

import itertools

from ...errors import BitstreamError, LimitError
from .lzw import fold

__all__ = ["CONSONANTS", "STOP_WORDS", "SYMBOL_BITS", "Consonants", "skeleton", "skeletons"]

CONSONANTS = "bcdfghlmnprstvw"
SYMBOLS = " " + CONSONANTS
SYMBOL_BITS = 4
FOLDED = str.maketrans({"k": "c", "q": "c", "j": "g", "z": "s", "x": "cs"} | dict.fromkeys("aeiouy", ""))
MAX_LENGTH = 4096
COMMON = """a about above all also an and are as at be been being by for from has have her his i in into is it its of
off on or over so some than that the their them then there these they this to up was were which while who with"""
STOP_WORDS = frozenset(COMMON.split())


def skeleton(word: str) -> str:
    """The consonants of a word in the letters of CONSONANTS; empty for words of vowels alone."""
    return "".join(letter for letter, _ in itertools.groupby(fold(word).replace(" ", "").translate(FOLDED)))


def skeletons(text: str) -> str:
    """The skeletons of all words that have one."""
    return " ".join(filter(None, map(skeleton, fold(text).split())))


class Consonants:
    """The four-bit code; keeps skeletons of words only."""

    name = "consonants"
    lossless = False
    available = True
    digest = b""

    def keeps(self, text: str) -> bool:
        """Whether the text has nothing but the sixteen symbols, and single spaces between words."""
        return set(text) <= set(SYMBOLS) and " ".join(text.split()) == text

    def pack(self, text: str) -> bytes:
        """The text's skeletons, four bits per symbol; LimitError for a text that is too long."""
        line = text if self.keeps(text) else skeletons(text)
        if len(line) > MAX_LENGTH:
            raise LimitError(f"the skeletons are longer than {MAX_LENGTH} letters")
        numbers = [SYMBOLS.index(letter) for letter in line] + [0] * (len(line) % 2)
        return bytes(high << 4 | low for high, low in zip(numbers[::2], numbers[1::2], strict=True))

    def unpack(self, data: bytes) -> str:
        """The skeletons; BitstreamError for bytes that `pack` never writes."""
        if len(data) > MAX_LENGTH // 2:
            raise BitstreamError("the text stream is too long for consonants")
        letters = "".join(SYMBOLS[byte >> 4] + SYMBOLS[byte & 15] for byte in data)
        return " ".join(letters.split())
