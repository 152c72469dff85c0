"""Where an image was taken, as a phrase behind a sentence of names alone, such as "on a beach".

    image embedding ─► cosine with each phrase, in deviations from its mean over many photos ─► surely so? ─┐
    cosine with the sentence and each such phrase, against the sentence alone ───────────────────────────────┴─► phrase

Some phrases are like every photo, so a cosine says little by itself: it is counted from its mean over the photos of the
memory, in units of their standard deviation (`surroundings.tsv`, of `misc.train.surroundings`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt
from torch import Tensor

from .naming import forms

__all__ = ["Surroundings", "add_surroundings", "read_surroundings"]

SURE = 2.0  # deviations of a phrase above its mean
GAIN = 0.02  # of the sentence's cosine by the phrase, at least
DEVIATION = 0.05  # what a deviation counts beside that gain

Embed = Callable[[Sequence[str]], Tensor]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Surroundings:
    """A phrase that says where something is.

    Attributes:
        phrase: such as "on a beach".
        mean: of its cosine with a photo, over many photos.
        deviation: standard deviation of that, above 0.
    """

    phrase: str
    mean: float
    deviation: float


@functools.cache
def read_surroundings() -> tuple[Surroundings, ...]:
    """All phrases of the table."""
    text = (resources.files("misc.models") / "describer" / "surroundings.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines()]
    return tuple(Surroundings(phrase, float(mean), float(deviation)) for phrase, mean, deviation in rows)


def add_surroundings(sentence: str, image: Floats, embed: Embed, phrases: Sequence[Surroundings] | None = None) -> str:
    """The sentence and the phrase of where it was taken, if the image makes one certain.

    Args:
        sentence: names what is there, such as "A lighthouse".
        image: (256,) embedding of length 1.
        embed: texts to embeddings (texts, 256) of length 1.
        phrases: to choose from; by default those of the table.
    """
    phrases = read_surroundings() if phrases is None else phrases
    cosines = embed([each.phrase for each in phrases]).float().cpu().numpy() @ image
    certain = {
        each.phrase: above
        for each, cosine in zip(phrases, cosines, strict=True)
        if (above := (float(cosine) - each.mean) / each.deviation) > SURE and not repeats(each.phrase, sentence)
    }
    texts = [sentence, *(f"{sentence} {phrase}" for phrase in certain)]
    plain, *fits = (embed(texts).float().cpu().numpy() @ image).tolist()
    gains = {
        text: fit - plain + DEVIATION * above
        for text, fit, above in zip(texts[1:], fits, certain.values(), strict=True)
        if fit - plain > GAIN
    }
    return max(gains, key=gains.__getitem__, default=sentence)


def repeats(phrase: str, sentence: str) -> bool:
    """Whether a sentence names what a phrase ends with: a building is not in front of a building."""
    last = set(forms(phrase.rsplit(maxsplit=1)[-1]))
    return any(last & set(forms(word)) for word in re.findall("[a-z]+", sentence.lower()))
