"""Text coders with one interface, one module each. The table CODERS gives each its number in the `.misc` file.

A new coder is a file beside this one and a line in the table.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Protocol

from ...errors import LimitError, ModelMismatchError
from .language_model import LanguageModel
from .model_file import PinnedFile
from .words import Words

__all__ = ["CODERS", "LATER", "WEIGHTLESS", "Coders", "TextCoder", "coder_of", "make_coders", "shortest"]


class TextCoder(Protocol):
    """The interface of a text coder.

    Attributes:
        name: on the command line.
        lossless: whether it keeps every text.
        available: whether everything that it needs is on this machine.
        digest: SHA-256 of its weights, for the file's fingerprint; empty if it has none.
    """

    name: str
    lossless: bool

    @property
    def available(self) -> bool:
        """Whether all that the coder needs is on this machine."""

    @property
    def digest(self) -> bytes:
        """SHA-256 of the model that reads the symbols; empty for a coder without one."""

    def keeps(self, text: str) -> bool:
        """Whether `unpack(pack(text)) == text`."""

    def pack(self, text: str) -> bytes:
        """Bytes of the text; LimitError if the text is beyond the coder's limits."""

    def unpack(self, data: bytes) -> str:
        """Text of any bytes, or BitstreamError; bounded in time and memory."""


Coders = Mapping[int, TextCoder]
MakeCoder = Callable[[Mapping[str, PinnedFile]], TextCoder | None]


def weightless(name: str) -> MakeCoder:
    """The maker of a coder without weights: `module.Class`, of a module beside this one."""
    module, kind = name.split(".")
    coder: TextCoder = getattr(importlib.import_module(f".{module}", __package__), kind)()
    return lambda files: coder


def language_model(name: str, most: int) -> MakeCoder:
    """The maker of a language-model coder, whose file a profile names; `most` tokens take under 2 seconds."""
    return lambda files: LanguageModel(name, most, files[name]) if name in files else None


def words(name: str, most: int) -> MakeCoder:
    """The maker of the coder `words`, whose file a profile names; `most` tokens take under 0.3 seconds."""
    return lambda files: Words(name, most, files[name]) if name in files else None


CODERS: Mapping[int, MakeCoder] = {
    1: weightless("deflate.Deflate"),
    2: weightless("lzw.Lzw"),
    3: weightless("consonants.Consonants"),
    4: language_model("lm-large", 40),
    5: language_model("lm-small", 384),
    6: words("words", 256),
}

LATER = frozenset({6})  # added when files existed: only files that they wrote have them in their fingerprint


def make_coders(files: Mapping[str, PinnedFile]) -> dict[int, TextCoder]:
    """The coders by their numbers in the file; a coder with weights is included if its file is given.

    Args:
        files: files of language models by coder's name; they need not be on this machine.
    """
    made = {number: make(files) for number, make in CODERS.items()}
    return {number: coder for number, coder in made.items() if coder is not None}


WEIGHTLESS: Coders = make_coders({})


def shortest(text: str, coders: Coders) -> bytes:
    """Number (8 bits) and bytes of the coder that needs the fewest, among those that lose nothing of the text.

    Raises:
        LimitError: no coder can write the text.
    """
    packed: list[bytes] = []
    refusals: list[LimitError] = []
    for number, coder in coders.items():
        if coder.available and coder.keeps(text):
            try:
                packed.append(bytes([number]) + coder.pack(text))
            except LimitError as error:
                refusals.append(error)
    if not packed:
        raise refusals[0] if refusals else LimitError("no text coder is at hand")
    return min(packed, key=len)


def coder_of(number: int, coders: Coders) -> TextCoder:
    """The coder of a number in a file; ModelMismatchError if there is none."""
    if number not in coders:
        raise ModelMismatchError(f"the text was written by coder {number}, which this profile does not have")
    return coders[number]
