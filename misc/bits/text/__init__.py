"""Text stream: the description, and the coders that turn it into bytes and back."""

from .registry import LATER, WEIGHTLESS, Coders, TextCoder, coder_of, make_coders, shortest

__all__ = ["LATER", "WEIGHTLESS", "Coders", "TextCoder", "coder_of", "make_coders", "shortest"]
