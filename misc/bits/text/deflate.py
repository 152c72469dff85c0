"""Text coder 1: UTF-8 through raw deflate (RFC 1951)."""

from __future__ import annotations

import zlib

from misc.errors import BitstreamError, LimitError

__all__ = ["Deflate"]

MAX_BYTES = 1 << 16


class Deflate:
    """Raw deflate, of any text up to 65,536 bytes of UTF-8."""

    name = "deflate"
    number = 1

    def pack(self, text: str) -> bytes:
        data = text.encode()
        if len(data) > MAX_BYTES:
            raise LimitError(f"the text is longer than {MAX_BYTES} bytes")
        packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
        return packer.compress(data) + packer.flush()

    def unpack(self, data: bytes) -> str:
        unpacker = zlib.decompressobj(-15)
        try:
            text = unpacker.decompress(data, MAX_BYTES + 1)
            if len(text) > MAX_BYTES:
                raise LimitError(f"the text is longer than {MAX_BYTES} bytes")
            if not unpacker.eof or unpacker.unused_data:
                raise BitstreamError("the text stream is damaged")
            return text.decode()
        except (zlib.error, UnicodeDecodeError) as error:
            raise BitstreamError("the text stream is damaged") from error
