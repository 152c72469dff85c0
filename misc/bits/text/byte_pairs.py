"""Byte-pair encoding: text to tokens and back, over a vocabulary in GPT-2's byte alphabet.

The file format depends only on `decode`: any tokens whose bytes are the text are valid. `encode` finds the usual ones.
"""

from __future__ import annotations

import functools
import heapq
import re
from collections.abc import Iterator, Sequence

from ...errors import BitstreamError

__all__ = ["BytePairs"]

WORDS = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+|\d| ?(?:[^\w\s]|_)+|\s+(?!\S)|\s+")


def byte_alphabet() -> dict[int, str]:
    """GPT-2's printable character of every byte."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {byte: chr(256 + i) for i, byte in enumerate(hidden)}


ALPHABET = byte_alphabet()
BYTES = {character: byte for byte, character in ALPHABET.items()}


class BytePairs:
    """A vocabulary and its merges.

    Args:
        tokens: every token in the byte alphabet, by number; all 256 single bytes are among them.
        merges: pairs "a b" in the order in which they are joined.
        special: numbers of tokens that are no text.
    """

    def __init__(self, tokens: Sequence[str], merges: Sequence[str], special: Sequence[int] = ()) -> None:
        self._tokens, self._merges, self._special = tokens, merges, frozenset(special)

    @functools.cached_property
    def _number(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self._tokens) if i not in self._special}

    @functools.cached_property
    def _rank(self) -> dict[tuple[str, ...], int]:
        return {tuple(merge.split(" ")): rank for rank, merge in enumerate(self._merges)}

    def _bytes(self, token: int) -> bytes | None:
        """The bytes of a token, None if it is no text."""
        return None if token in self._special else bytes(BYTES[character] for character in self._tokens[token])

    def number(self, text: str) -> int:
        """The token whose bytes are the text; KeyError if there is none."""
        return self._number["".join(ALPHABET[byte] for byte in text.encode())]

    def texts(self) -> Iterator[tuple[int, str]]:
        """Number and text of every token that is ASCII text."""
        for number in range(len(self._tokens)):
            data = self._bytes(number)
            if data is not None and data.isascii():
                yield number, data.decode()

    def encode(self, text: str) -> list[int]:
        """Tokens of a text."""
        return [self._number[part] for word in WORDS.findall(text) for part in self._join(word)]

    def _join(self, word: str) -> list[str]:
        """Parts of a word after all merges: the earliest of the list first, among equals the leftmost; n log n."""
        parts = [ALPHABET[byte] for byte in word.encode()]
        after = [*range(1, len(parts)), -1]  # index of the next part; a part that was merged into another is empty
        before = [*range(-1, len(parts) - 1)]
        waiting: list[tuple[int, int, str, str]] = []

        def wait(left: int) -> None:
            if left >= 0 and after[left] >= 0:
                pair = parts[left], parts[after[left]]
                if pair in self._rank:
                    heapq.heappush(waiting, (self._rank[pair], left, *pair))

        for left in range(len(parts)):
            wait(left)
        while waiting:
            _, left, first, second = heapq.heappop(waiting)
            right = after[left]
            if right < 0 or (parts[left], parts[right]) != (first, second):
                continue  # one of the two was merged in the meantime
            parts[left], parts[right] = first + second, ""
            after[left] = after[right]
            if after[right] >= 0:
                before[after[right]] = left
            wait(before[left])
            wait(left)
        return [part for part in parts if part]

    def decode(self, tokens: Sequence[int], errors: str = "strict") -> str:
        """Text of tokens.

        Args:
            errors: handling of bytes that are not UTF-8, as in `bytes.decode`.

        Raises:
            BitstreamError: a token is no text, or the bytes are not UTF-8.
        """
        parts = [self._bytes(token) for token in tokens]
        if any(part is None for part in parts):
            raise BitstreamError("the text stream holds a token that is no text")
        try:
            return b"".join(part for part in parts if part is not None).decode(errors=errors)
        except UnicodeDecodeError as error:
            raise BitstreamError("the text stream is not Unicode text") from error
