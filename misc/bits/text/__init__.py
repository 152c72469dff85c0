"""Text coders, one a file, behind one interface and one number in the file.

`CODERS` lists them. A coder's `pack` may refuse a text that it cannot carry with InputError.
"""

from __future__ import annotations

from typing import Protocol

from misc.bits.text.deflate import Deflate

__all__ = ["CODERS", "TextCoder", "coder_by_number"]


class TextCoder(Protocol):
    """`unpack(pack(text)) == text` for every text that `pack` accepts without a notice."""

    name: str
    number: int

    def pack(self, text: str) -> bytes:
        """Bytes of the text."""

    def unpack(self, data: bytes) -> str:
        """Text of any bytes, or BitstreamError; bounded in time and memory."""


CODERS: tuple[TextCoder, ...] = (Deflate(),)


def coder_by_number(number: int) -> TextCoder | None:
    """The coder of a number in a file; None if this version has none."""
    return next((coder for coder in CODERS if coder.number == number), None)
