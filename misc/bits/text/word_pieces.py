"""Words and pieces of words: text to tokens and back, over a vocabulary whose words are one token each.

    "A boat, remoored" ─► ^ a | boat | , | re +moor +ed ─► numbers

A word is one usual word, one rare word, or a first piece with further pieces (written `+ed`). The network sees only the
group of a rare word, which is given by its ending. The token `^` makes the first letter of the next word a capital.
Marks follow a word; those of JOINTS join two words. Every sequence of tokens is a text, so the file format depends only
on `decode`.
"""

from __future__ import annotations

import functools
import itertools
import re
import string
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ...errors import BitstreamError

__all__ = [
    "CAPITAL",
    "JOINTS",
    "LETTERS",
    "MARKS",
    "MORE",
    "RARE",
    "WordPieces",
    "group_of",
    "pack_words",
    "unpack_words",
]

CAPITAL, MORE = "^", "+"
JOINTS = "-'/"
MARKS = ".,;:!?" + JOINTS
ENDINGS = ("ing", "ed", "ly", "s", "er", "y", "al", "a", "e", "n", "t", "")
RARE = tuple(f"<rare -{ending}>" for ending in ENDINGS)
LETTERS = string.ascii_lowercase + string.digits
PARTS = re.compile(rf"[A-Z]?[a-z0-9]+|[A-Z]|[{re.escape(MARKS)}]")


def group_of(word: str) -> int:
    """The group of a rare word: the first of ENDINGS that it has."""
    return next(i for i, ending in enumerate(ENDINGS) if word.endswith(ending))


class WordPieces:
    """A vocabulary.

    Args:
        tokens: every token by number: words, pieces after MORE, marks, CAPITAL; each of LETTERS both as a word and as a
            piece. Other tokens, in angle brackets, are not text, except the line feed.
        line_break: number of the token for a line feed.
        rare: rare words; their numbers follow those of the tokens. They are sorted by group, in the order of RARE.
    """

    def __init__(self, tokens: Sequence[str], line_break: int, rare: Sequence[str] = ()) -> None:
        self._tokens, self._usual, self._line_break = [*tokens, *rare], len(tokens), line_break
        groups = [group_of(word) for word in rare]
        if groups != sorted(groups):
            raise ValueError("the rare words are not in the order of their groups")
        self._starts = [bisect_left(groups, group) for group in range(len(RARE) + 1)]

    def rare_counts(self) -> list[int]:
        """Number of rare words of each group."""
        return [end - start for start, end in itertools.pairwise(self._starts)]

    def known(self, token: int) -> tuple[int, int]:
        """The network's token (for a rare word, that of its group) and the rare word's index in its group, else -1."""
        if token < self._usual:
            return token, -1
        group = bisect_right(self._starts, token - self._usual) - 1
        return self._number[RARE[group]], token - self._usual - self._starts[group]

    def rare_token(self, token: int, place: int) -> int:
        """The rare word at an index of the group with this token; BitstreamError if there is none."""
        group = RARE.index(self._tokens[token])
        if place >= self._starts[group + 1] - self._starts[group]:
            raise BitstreamError("the text stream is damaged")
        return self._usual + self._starts[group] + place

    @functools.cached_property
    def _number(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self._tokens)}

    @functools.cached_property
    def _longest(self) -> int:
        return max(map(len, self._tokens))

    def number(self, token: str) -> int:
        """The number of a token; KeyError if there is none."""
        return self._number[token]

    def encode(self, line: str) -> list[int]:
        """Tokens of a text without line feeds, as far as the vocabulary has them."""
        tokens: list[int] = []
        for part in PARTS.findall(line):
            if part[0].isupper():
                tokens.append(self._number[CAPITAL])
            tokens += [self._number[part]] if part in MARKS else self._spell(part.lower())
        return tokens

    def _spell(self, word: str) -> Iterator[int]:
        """The longest token that begins the word, then the longest that continues it, and so on."""
        start, before = 0, ""
        while start < len(word):
            end = min(len(word), start + self._longest)
            while before + word[start:end] not in self._number:
                end -= 1
            yield self._number[before + word[start:end]]
            start, before = end, MORE

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens."""
        text: list[str] = []
        joined, capital = True, False
        for number in tokens:
            token = self._tokens[number]
            if number == self._line_break:
                text.append("\n")
                joined = True
            elif token == CAPITAL:
                capital = True
            elif token in MARKS:
                text.append(token)
                joined = token in JOINTS
            elif token[0] == MORE:
                text.append(token[1:])
            elif token[0] in LETTERS:
                text.append(("" if joined else " ") + (token.capitalize() if capital else token))
                joined = capital = False
        return "".join(text)


def pack_words(words: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Words in few bytes, for a file of weights."""
    return np.frombuffer(zlib.compress("\n".join(words).encode(), 9), np.uint8)


def unpack_words(data: npt.NDArray[np.uint8]) -> list[str]:
    """Inverse of `pack_words`."""
    return zlib.decompress(data.tobytes()).decode().split("\n")
