"""Text coder 1: UTF-8 through raw deflate (RFC 1951) with a preset dictionary of words that descriptions use."""

from __future__ import annotations

import zlib

from ...errors import BitstreamError, LimitError

__all__ = ["Deflate"]

MAX_BYTES = 1 << 16
DICTIONARY = (
    b"illustration screenshot colorful surrounded character buildings vibrant brown orange purple yellow "
    b"several different various appears to be which has been with its around through behind under between "
    b"dressed in wearing a hat, glasses and a blue shirt, black jacket, white dress, green trees and mountains. "
    b"people woman young girl boy children men women dog cat horse bird car street city house table water beach "
    b"playing running walking sitting on a bench looking at the camera holding a small red ball in his mouth. "
    b"The background is blurred and the overall composition creates a sense of depth and atmosphere. "
    b"The image depicts a scene of the sky. The image shows a group of people standing in front of a large "
    b"building. The image features a man in the middle of a field. A close-up of the light in front of "
)


class Deflate:
    """Raw deflate, of any text up to 65,536 bytes of UTF-8."""

    name = "deflate"
    lossless = True
    available = True
    digest = b""

    def keeps(self, text: str) -> bool:
        """Always."""
        return True

    def pack(self, text: str) -> bytes:
        """Raw DEFLATE with the dictionary; LimitError for a text that is too long."""
        data = text.encode()
        if len(data) > MAX_BYTES:
            raise LimitError(f"the text is longer than {MAX_BYTES} bytes")
        packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=DICTIONARY)
        return packer.compress(data) + packer.flush()

    def unpack(self, data: bytes) -> str:
        """The text; BitstreamError for bytes that `pack` never writes."""
        unpacker = zlib.decompressobj(-15, DICTIONARY)
        try:
            text = unpacker.decompress(data, MAX_BYTES + 1)
            if len(text) > MAX_BYTES:
                raise LimitError(f"the text is longer than {MAX_BYTES} bytes")
            if not unpacker.eof or unpacker.unused_data:
                raise BitstreamError("the text stream is damaged")
            return text.decode()
        except (zlib.error, UnicodeDecodeError) as error:
            raise BitstreamError("the text stream is damaged") from error
