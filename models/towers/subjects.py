"""Subjects for which ImageNet has few or no classes, such as flowers and mountains: a layer on the tagger's features.

    image ─► EfficientNet-lite0 ─► 1280 features ─┬─► 1000 shares (tagger)
                                                  └─► a probability of each subject

ImageNet has 120 classes of dogs and two of flowers. `misc.train.subjects` trained the layer on labels and captions. A
subject is the main content of an image, not everything in it.
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
GENERAL: Mapping[str, Sequence[str]] = {  # more general names of a subject
    **dict.fromkeys(["dandelion", "rose", "sunflower", "tulip"], ("flower",)),
    "tower": ("building",),
    **dict.fromkeys(["dress", "jacket", "shirt", "shoe", "shorts", "skirt", "trousers"], ("clothing",)),
}
PLACES = frozenset(["field", "grass", "river", "sea", "snow", "street", "water"])  # these name a place, not an item


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
        """Probability of each subject for an image with these features (1280,)."""
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
