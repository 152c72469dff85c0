"""The place of an image as a phrase after a sentence of names, such as "on a beach".

    image embedding ─► cosine with each phrase, in standard deviations above its mean ─► certain? ─┐
    cosine with sentence plus phrase, against the sentence alone ───────────────────────────────────┴─► phrase

Some phrases are similar to every photo, so the cosine itself says little. It is therefore standardised with its mean
and standard deviation over the memory's photos (`surroundings.tsv`, made by `misc.train.surroundings`).
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

SURE = 2.0  # least standardised cosine of a phrase
GAIN = 0.02  # least gain of the sentence's cosine by the phrase
DEVIATION = 0.05  # weight of the standardised cosine against that gain

Embed = Callable[[Sequence[str]], Tensor]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Surroundings:
    """A phrase for a place.

    Attributes:
        phrase: such as "on a beach".
        mean: of its cosine with photos.
        deviation: standard deviation of that cosine, above 0.
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
    """The sentence with a phrase for the place, if one is certain.

    Args:
        sentence: of names, such as "A lighthouse".
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
    """Whether a sentence has the last noun of a phrase: "a building in front of a building" says nothing."""
    last = set(forms(phrase.rsplit(maxsplit=1)[-1]))
    return any(last & set(forms(word)) for word in re.findall("[a-z]+", sentence.lower()))
