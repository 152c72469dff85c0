"""Subjects that ImageNet has few classes for or none, such as flowers and mountains: a layer behind the tagger.

    image ─► EfficientNet-lite0 ─► 1280 features ─┬─► 1000 shares (tagger)
                                                  └─► a probability of each subject

ImageNet knows 120 dogs and two flowers. `misc.train.subjects` trained the layer on labels and captions; a subject says
what an image is of, not all that is somewhere in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...weights.safe import load, refusing

__all__ = ["FEATURES", "GENERAL", "PLACES", "Subjects", "load_subjects"]

FEATURES = 1280
GENERAL: Mapping[str, Sequence[str]] = {  # what is more general than a subject
    **dict.fromkeys(["dandelion", "rose", "sunflower", "tulip"], ("flower",)),
    "tower": ("building",),
    **dict.fromkeys(["dress", "jacket", "shirt", "shoe", "shorts", "skirt", "trousers"], ("clothing",)),
}
PLACES = frozenset(["field", "grass", "river", "sea", "snow", "street", "water"])  # where things are, and no items


@dataclass(frozen=True)
class Subjects:
    """The layer.

    Attributes:
        names: of the subjects.
        weight: (subjects, 1280).
        bias: (subjects,).
    """

    names: Sequence[str]
    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]

    def probabilities(self, features: npt.NDArray[np.float32]) -> dict[str, float]:
        """How sure it is that an image of these features (1280,) is of each subject, 0 to 1."""
        logits = self.weight @ features + self.bias
        return dict(zip(self.names, (1 / (1 + np.exp(-logits))).tolist(), strict=True))


def load_subjects(path: Path) -> Subjects:
    """The layer of a weights file that `misc.train.subjects` wrote.

    Raises:
        WeightsError: the file is missing, damaged or of another layer.
    """
    with refusing(path, "the subjects"):
        weights = load(path)
        names = json.loads(weights.metadata["names"])
        subjects = Subjects(names, *(weights.tensors[key].astype(np.float32) for key in ("weight", "bias")))
        if subjects.weight.shape != (len(names), FEATURES) or subjects.bias.shape != (len(names),):
            raise ValueError("another layer")
    return subjects
