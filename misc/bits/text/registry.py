"""Text coders, one a file, behind one interface and one number in the file.

1 deflate    2 lzw    3 consonants    4 lm-large    5 lm-small
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ...errors import LimitError, ModelMismatchError
from .consonants import Consonants
from .deflate import Deflate
from .lzw import Lzw

__all__ = ["WEIGHTLESS", "TextCoder", "coder_of", "shortest"]


class TextCoder(Protocol):
    """What a text coder offers.

    Attributes:
        name, number: on the command line, in the file. lossless: whether it keeps every text.
        available: whether what it needs is on this machine.
    """

    name: str
    number: int
    lossless: bool

    @property
    def available(self) -> bool: ...

    def keeps(self, text: str) -> bool:
        """Whether `unpack(pack(text)) == text`."""

    def pack(self, text: str) -> bytes:
        """Bytes of the text; LimitError if the text is beyond what the coder carries."""

    def unpack(self, data: bytes) -> str:
        """Text of any bytes, or BitstreamError; bounded in time and memory."""


WEIGHTLESS: tuple[TextCoder, ...] = (Deflate(), Lzw(), Consonants())


def shortest(text: str, coders: Sequence[TextCoder]) -> bytes:
    """Number (8 bits) and bytes of the coder that needs the fewest, among those that lose nothing of it.

    Raises:
        LimitError: no coder carries the text.
    """
    packed: list[bytes] = []
    refusals: list[LimitError] = []
    for coder in coders:
        if coder.available and coder.keeps(text):
            try:
                packed.append(bytes([coder.number]) + coder.pack(text))
            except LimitError as error:
                refusals.append(error)
    if not packed:
        raise refusals[0] if refusals else LimitError("no text coder is at hand")
    return min(packed, key=len)


def coder_of(number: int, coders: Sequence[TextCoder]) -> TextCoder:
    """The coder of a number in a file; ModelMismatchError if there is none."""
    for coder in coders:
        if coder.number == number:
            return coder
    raise ModelMismatchError(f"the text was written by coder {number}, which is not here")
