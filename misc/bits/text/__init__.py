"""Text stream: the description, and the coders that turn it into bytes and back."""

from .registry import WEIGHTLESS, Coders, TextCoder, coder_of, make_coders, shortest

__all__ = ["WEIGHTLESS", "Coders", "TextCoder", "coder_of", "make_coders", "shortest"]
