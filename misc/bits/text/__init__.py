"""Text stream: the description, and the coders that turn it into bytes and back."""

from .registry import WEIGHTLESS, TextCoder, coder_of, shortest

__all__ = ["WEIGHTLESS", "TextCoder", "coder_of", "shortest"]
