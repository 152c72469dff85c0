"""EfficientNet-lite0 (Tan & Le 2019, arXiv 1905.11946; without squeeze and excitation), for trained weights.

    pixels ─► stem, /2 ─► inverted residuals, /16 ─► head ─► mean ─► 1000 logits

It is timm's tf_efficientnet_lite0, parameter by parameter in the same order; timm takes two seconds to import.
"""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["LAST_AT_EACH_SIZE", "MEAN", "STD", "EfficientNetLite", "normalise"]

EPSILON = 1e-3
STEM, HEAD = 32, 1280
# blocks, kernel size, stride of the first block, expansion factor, channels
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
          (1, 3, 1, 6, 320))  # fmt: skip
LAST_AT_EACH_SIZE = (0, 1, 2, 4, 6)  # of the stages: at 1/2 to 1/32 of the pixels' side
MEAN, STD = 127.0, 128.0  # of the training pixels, in 8-bit units


def normalise(images: Tensor) -> Tensor:
    """The network's input for RGB images (..., 3, H, W) in [0, 1]."""
    return (255 * images - MEAN) / STD


class Convolution(nn.Sequential):
    """Convolution and batch norm, padded as in TensorFlow: if the padding is odd, the end gets one more."""

    def __init__(self, inputs: int, outputs: int, side: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, side, stride, groups=groups, bias=False), nn.BatchNorm2d(outputs, eps=EPSILON)
        )
        self.side, self.stride = side, stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, outputs, ceil(H / stride), ceil(W / stride)) of (B, inputs, H, W)."""
        before, after = [], []
        for length in x.shape[:1:-1]:
            lacking = max(0, (-(-length // self.stride) - 1) * self.stride + self.side - length)
            before.append(lacking // 2)
            after.append(lacking - lacking // 2)
        x = functional.pad(x, [before[0], after[0], before[1], after[1]])
        for layer in self:
            x = layer(x)
        return x


class Block(nn.Module):
    """Inverted residual: expansion, depthwise convolution, projection; added to its input if the shape is the same."""

    def __init__(self, inputs: int, outputs: int, side: int, stride: int, times: int) -> None:
        super().__init__()
        inside = inputs * times
        self.wider = Convolution(inputs, inside) if times > 1 else None
        self.filter = Convolution(inside, inside, side, stride, inside)
        self.narrower = Convolution(inside, outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, outputs, H / stride, W / stride) of (B, inputs, H, W)."""
        y = x if self.wider is None else functional.relu6(self.wider(x))
        y = self.narrower(functional.relu6(self.filter(y)))
        added: Tensor = x + y if self.adds else y
        return added


class EfficientNetLite(nn.Module):
    """Logits of images for a number of classes."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = Convolution(3, STEM, 3, 2)
        blocks, width = [], STEM
        for count, side, stride, times, outputs in STAGES:
            for place in range(count):
                blocks.append(Block(width, outputs, side, stride if place == 0 else 1, times))
                width = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = Convolution(width, HEAD)
        self.classifier = nn.Linear(HEAD, classes)

    def features(self, pixels: Tensor) -> Tensor:
        """(B, 1280) of (B, 3, H, W): the input of the classifier."""
        x = functional.relu6(self.head(self.blocks(functional.relu6(self.stem(pixels)))))
        return x.mean((2, 3))

    def maps(self, pixels: Tensor, stages: Collection[int]) -> list[Tensor]:
        """Outputs of some of `STAGES`, by their numbers, the finest first, of (B, 3, H, W)."""
        x, place, found = functional.relu6(self.stem(pixels)), 0, []
        for stage, (count, *_) in enumerate(STAGES[: max(stages) + 1]):
            for block in self.blocks[place : place + count]:
                x = block(x)
            place += count
            if stage in stages:
                found.append(x)
        return found

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, classes) of (B, 3, H, W)."""
        logits: Tensor = self.classifier(self.features(pixels))
        return logits
