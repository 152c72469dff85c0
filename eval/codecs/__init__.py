"""Codecs under test: MISC's modes and others, all as `encode(image, bpp) -> bytes` and `decode(bytes) -> image`."""

from .codec import Codec, Setting, WithStreams
from .registry import CLASSICAL, expand, open_codec

__all__ = ["CLASSICAL", "Codec", "Setting", "WithStreams", "expand", "open_codec"]
