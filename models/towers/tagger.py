"""Tags: names of an image's content in everyday words, as specific as the classifier is sure.

    image ─► 224x224 ─► EfficientNet-lite0 ─► 1000 shares ─► added up along names.tsv ─► tags

If a classifier is unsure between macaw and cockatoo, it is still sure of a parrot. "Hedging your bets" (Deng 2012) adds
up the shares of all classes with a name, and takes the most specific names that are sure enough. The detector knows 80
classes, the tagger 1000, also of landscapes, animals, food and buildings. Only encoding needs it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from ...errors import WeightsError
from ...weights.safe import refusing
from .efficientnet import MEAN, STD, EfficientNetLite
from .subjects import Subjects, load_subjects

__all__ = [
    "CLASSES",
    "Tag",
    "Tagger",
    "hedge",
    "load_classifier",
    "load_tagger",
    "read_names",
    "sum_shares",
]

CLASSES = 1000
SIDE = 224
Names = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Tag:
    """A name for an image's content.

    Attributes:
        name: everyday words, at most three.
        share: 0 to 1, the classifier's confidence.
        classes: number of ImageNet classes with this name; fewer means more specific.
    """

    name: str
    share: float
    classes: int


class Tagger:
    """The classifier with its table of names.

    Args:
        network: of ImageNet's classes, in evaluation mode.
        names: of every class, the most specific first.
        subjects: the layer on the features of an `EfficientNetLite`.
    """

    def __init__(self, network: nn.Module, names: Names, subjects: Subjects | None = None) -> None:
        self.network, self.names, self.layer = network, names, subjects

    def tags(self, image: Image.Image, least: float) -> list[Tag]:
        """The tags of an RGB image, by `hedge`."""
        return hedge(self.shares(image), self.names, least)

    @torch.inference_mode()
    def shares(self, image: Image.Image) -> npt.NDArray[np.float64]:
        """(1000,) shares of the classes, mean over the whole image and its centre square."""
        logits: Tensor = self.network(self._views(image))
        mean: npt.NDArray[np.float64] = logits.float().softmax(1).mean(0).cpu().double().numpy()
        return mean

    @torch.inference_mode()
    def features(self, image: Image.Image) -> npt.NDArray[np.float32]:
        """(1280,) features, the mean of both views; the network is an `EfficientNetLite`."""
        return mean_of(self._features(image))

    @torch.inference_mode()
    def look(self, image: Image.Image) -> tuple[npt.NDArray[np.float64], dict[str, float]]:
        """`shares`, and the probability of each subject; empty without the layer of subjects."""
        if self.layer is None:
            return self.shares(image), {}
        features = self._features(image)
        shares = self.network.classifier(features).float().softmax(1)  # type: ignore[operator]
        return mean_of(shares).astype(np.float64), self.layer.probabilities(mean_of(features))

    def _features(self, image: Image.Image) -> Tensor:
        """(2, 1280) features of both views."""
        assert isinstance(self.network, EfficientNetLite)
        return self.network.features(self._views(image)).float()

    def _views(self, image: Image.Image) -> Tensor:
        """(2, 3, 224, 224): the whole image, and its centre square."""
        inputs = torch.stack([to_input(image), to_input(middle(image))])
        return inputs.to(next(self.network.parameters()).device)


def mean_of(rows: Tensor) -> npt.NDArray[np.float32]:
    """(N,) mean of rows (B, N)."""
    mean: npt.NDArray[np.float32] = rows.mean(0).cpu().numpy()
    return mean


def middle(image: Image.Image) -> Image.Image:
    """The largest square at the centre of an image."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return image.crop((left, top, left + side, top + side))


def to_input(image: Image.Image) -> Tensor:
    """(3, 224, 224) of an RGB image, stretched to that size."""
    resized = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return (torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() - MEAN) / STD


def sum_shares(shares: npt.NDArray[np.float64], names: Names) -> dict[str, float]:
    """The share of every name: the sum over the classes that have it. shares: (classes,)."""
    sums: defaultdict[str, float] = defaultdict(float)
    for share, chain in zip(shares.tolist(), names, strict=True):
        for name in chain:
            sums[name] += share
    return dict(sums)


def hedge(shares: npt.NDArray[np.float64], names: Names, least: float) -> list[Tag]:
    """The most specific names that are sure enough, the surest first.

    Args:
        shares: (classes,), of every class.
        names: of every class.
        least: least share of a name.

    Returns:
        tags without more general ones: with parrot, neither animal nor bird.
    """
    sums = sum_shares(shares, names)
    count = Counter(name for chain in names for name in chain)
    sure = {name for name, share in sums.items() if share >= least}
    general = {above for name in sure for chain in names if name in chain for above in chain[chain.index(name) + 1 :]}
    chosen = sorted(sure - general, key=lambda name: -sums[name])
    return [Tag(name, sums[name], count[name]) for name in chosen]


def read_names() -> list[list[str]]:
    """Everyday names of ImageNet's classes, the most specific first; `misc.train.prepare.names` made the table."""
    text = (resources.files("misc.models") / "towers" / "names.tsv").read_text("utf-8")
    return [line.split("\t") for line in text.splitlines() if not line.startswith("#")]


def load_tagger(path: Path, device: str | torch.device = "cpu", subjects: Path | None = None) -> Tagger:
    """The tagger.

    Args:
        path: as `load_classifier`.
        subjects: weights of the subjects' layer.

    Raises:
        WeightsError: a file is missing, damaged, or of another network.
    """
    network = load_classifier(path).to(device)
    layer = load_subjects(subjects) if subjects else None
    return Tagger(network, read_names(), layer)


def load_classifier(path: Path) -> EfficientNetLite:
    """The classifier, frozen, from a checkpoint of EfficientNet-lite0, whose tensors have the order of timm's network.

    Raises:
        WeightsError: the file is missing, damaged, or of another network.
    """
    network = EfficientNetLite(CLASSES)
    wanted = network.state_dict()
    with refusing(path, "the tagger"):
        given = torch.load(path, map_location="cpu", weights_only=True)
        if [value.shape for value in given.values()] != [value.shape for value in wanted.values()]:
            raise WeightsError(f"{path.name} does not hold the tagger that this profile expects")
        network.load_state_dict(dict(zip(wanted, given.values(), strict=True)))
    return network.eval().requires_grad_(False)
