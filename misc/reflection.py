"""Reflection: the encoder draws an image from the text, describes it, and moves missing words to the front.

    text ─► file ─► image ─► described again ─► words that are missing ─┐
                      └─► Likeness to the original   mended text ◄──────┘ ─► file ─► image ─► ... the better is kept

This follows semantic compression at micro-bits (arXiv 2402.13536). A mended text begins with the missing words and has
the same limit. The file that is kept is at least as similar to the original as the first one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from PIL import Image

from .bits.streams import Streams
from .bits.text.consonants import STOP_WORDS
from .bits.text.description import MAX_LETTERS, MAX_WORDS, Description
from .bits.text.lzw import fold
from .errors import BudgetError, DescriberError

if TYPE_CHECKING:
    from .codec import Codec

__all__ = ["Round", "Scorer", "mend", "missing_words", "reflect"]

MOST_NAMED = 4  # largest number of missing words that are moved to the front

MakeFile = Callable[[Streams, tuple[str, ...]], bytes]


class Scorer(Protocol):
    """A measure of similarity to the original, such as `misc.closed_loop.Likeness`."""

    def score(self, image: Image.Image) -> float:
        """Similarity of a drawn image to the original; more is better."""


@dataclass(frozen=True)
class Round:
    """One file of the loop.

    Attributes:
        content: text and regions in the file.
        data: the file.
        image: the image drawn from it.
        score: similarity to the original.
        missing: words of the text that the description of the drawn image lacks.
    """

    content: Streams
    data: bytes
    image: Image.Image
    score: float
    missing: tuple[str, ...] = ()


def reflect(
    codec: Codec, content: Streams, first: bytes, rounds: int, make: MakeFile, likeness: Scorer
) -> tuple[Round, list[Round]]:
    """The best round, and all rounds in their order.

    Args:
        codec: draws and describes.
        content: text and regions of the original.
        first: the file made from them.
        rounds: largest number of further texts to try.
        make: returns the file of a text, given the missing words.
        likeness: similarity to the original.

    Raises:
        WeightsError: weights for drawing, describing or comparing are missing.
    """
    assert content.text is not None
    best = look(codec, content, first, likeness, content.text)
    history = [best]
    for _ in range(rounds):
        assert best.content.text is not None
        if not best.missing:
            break
        mended = replace(content, text=mend(best.content.text, best.missing))
        try:
            data = make(mended, best.missing)
        except BudgetError:
            break
        if any(data == each.data for each in history):
            break
        history.append(look(codec, mended, data, likeness, content.text))
        best = max(best, history[-1], key=lambda each: each.score)
    return best, history


def look(codec: Codec, content: Streams, data: bytes, likeness: Scorer, wanted: Description) -> Round:
    """Draw a file, and find the words of the wanted text that the description of its image lacks."""
    image = codec.decode(data)
    try:
        missing = missing_words(wanted, codec.semantics.describe(image))
    except DescriberError:  # the image has no description, so no word is known to be missing
        missing = ()
    return Round(content, data, image, likeness.score(image), missing)


def missing_words(wanted: Description, drawn: Description) -> tuple[str, ...]:
    """Words of one text that another lacks, item names first; plurals and stop words are ignored."""
    known = {stem(word) for field in drawn.fields() for word in fold(field).split()}
    names = [word for item in wanted.items for word in fold(item.name).split()]
    words = [*names, *(word for field in wanted.fields() for word in fold(field).split())]
    missing = [word for word in words if word not in STOP_WORDS and stem(word) not in known]
    return tuple({stem(word): word for word in reversed(missing)}[key] for key in dict.fromkeys(map(stem, missing)))


def stem(word: str) -> str:
    """A word without the s of a plural."""
    return word.removesuffix("s") if len(word) > 3 else word


def mend(text: Description, missing: tuple[str, ...]) -> Description:
    """The text with the first missing words in front of its sentence; the items stay."""
    named = " ".join(missing[:MOST_NAMED])
    if text.overall.startswith(f"{named}: "):
        return text
    words = f"{named}: {text.overall}"[:MAX_LETTERS].split()[:MAX_WORDS]
    return replace(text, overall=" ".join(words))
