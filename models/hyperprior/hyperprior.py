"""Pixel stream, neural side: an image to integer latents and back.

    image ─► g_a ─► y·gain ─► round, RDOQ ─► PixelLatents ─► y_hat/gain ─► g_s ─► draft
                      └─► h_a ─► z ─► round ─► h_s (integers, misc.bits.pixels.latents) ─► means, scales

A mean-scale hyperprior (Balle 2018, arXiv 1802.01436; Minnen 2018, arXiv 1809.02736) aimed at 0.002 to
0.05 bpp: y at 1/32, z at 1/64 of the image's side, channels in slices (Minnen 2020, arXiv 2007.08739), each with a
two-pass checkerboard context (He 2021, arXiv 2103.15306; He 2022, arXiv 2203.10886), and gain units for one checkpoint
at every rate (Cui 2021, arXiv 2003.02012).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...bits.pixels.entropy_model import LEVELS, LatentModel
from ...bits.pixels.latents import UNIT, PixelLatents, encode, pack, unpack
from ..half_precision import half_precision
from ..image_tensors import Pixels, to_tensor
from ..towers.efficientnet import EfficientNetLite
from . import tiling
from .distortion import FeatureDistance, squared_error, trade_off
from .integers import exact_arrays
from .rdoq import Distortion, optimise
from .slices import INDEX_START, SCALE_COUNT, SCALE_MIN, SliceParameters, scale_of
from .transforms import GainUnit, Stage, Transform, conv1x1, conv3x3, level_weights, upsample

__all__ = ["Hyperprior"]


Z_INDEX_SLOPE = 64.0
FEATURE_WEIGHT = 150.0  # of the distance in features, in units of the squared error; chosen on COCO photos
QUARTER_SHARE = 0.5  # of the squared error at a quarter of the size; the recipe's `quarter`


class Hyperprior(nn.Module):
    """Mean-scale hyperprior with the interface of CompressAI's models, one checkpoint for all rates.

    CompressAI is imported only for training: coding does not need it, and its import takes seconds.

    forward:    x (B, 3, H, W) in [0, 1], H and W multiples of 64 -> {"x_hat", "likelihoods": {"y", "z"}}

    Args:
        channels: features at 1/4, 1/8, 1/16 and 1/32 of the image's side.
        slices: channels of the latents, in the groups that are coded one after the other.
        z_channels: channels of the hyper-latents.
        hyper_channels: features of the hyper-analysis.
        features: of the hyper-synthesis and of the networks of the slices.
        context: side of the square of latents, odd, that a context layer sees.
    """

    def __init__(
        self,
        channels: tuple[int, int, int, int],
        slices: Sequence[int],
        z_channels: int,
        hyper_channels: int,
        features: int,
        context: int,
    ) -> None:
        super().__init__()
        a, b, c, d = channels
        m, n, k = sum(slices), z_channels, features
        self.config = {
            "channels": list(channels),
            "slices": list(slices),
            "z_channels": z_channels,
            "hyper_channels": hyper_channels,
            "features": features,
            "context": context,
        }
        self.g_a = Transform(
            [
                Stage(nn.Sequential(nn.PixelUnshuffle(4), conv3x3(48, a)), a, 1),
                Stage(conv3x3(a, b, stride=2), b, 1),
                Stage(conv3x3(b, c, stride=2), c, 1),
                Stage(conv3x3(c, d, stride=2), d, 1),
            ],
            conv3x3(d, m),
        )
        self.g_s = Transform(
            [
                Stage(conv3x3(m, d), d, 2),
                Stage(upsample(d, c), c, 3),
                Stage(upsample(c, b), b, 3),
                Stage(upsample(b, a), a, 2),
            ],
            nn.Sequential(conv3x3(a, 48), nn.PixelShuffle(4)),
        )
        self.h_a = nn.Sequential(
            conv3x3(m, hyper_channels),
            nn.LeakyReLU(),
            conv3x3(hyper_channels, hyper_channels, stride=2),
            nn.LeakyReLU(),
            conv1x1(hyper_channels, n),
        )
        self.h_s = nn.Sequential(
            conv3x3(n + LEVELS, k),
            nn.ReLU(),
            conv1x1(k, 4 * k),
            nn.PixelShuffle(2),
            nn.ReLU(),
            conv3x3(k, k),
            nn.ReLU(),
        )
        self.slices = nn.ModuleList(SliceParameters(sum(slices[:i]), size, k, context) for i, size in enumerate(slices))
        self.gain = GainUnit(m, 0.3, 3.0)
        self.inverse_gain = GainUnit(m, 1 / 0.3, 1 / 3.0)
        self.z_scale = nn.Parameter(torch.zeros(LEVELS, n))
        self.exact: LatentModel | None = None

    def forward(self, x: Tensor, quality: Tensor | None = None) -> dict[str, Any]:
        """x: (B, 3, H, W) in [0, 1]; quality: (B,) in [0, 1], 0.75 unless given. Returns x_hat and likelihoods."""
        if quality is None:
            quality = x.new_full((x.shape[0],), 0.75)
        y = self.g_a(x - 0.5, quality).float() * self.gain(quality)
        with torch.autocast(x.device.type, enabled=False):
            y_hat, likelihoods = self._code(y, quality)
        x_hat = self.g_s(y_hat * self.inverse_gain(quality), quality).float() + 0.5
        return {"x_hat": x_hat, "likelihoods": likelihoods}

    def _code(self, y: Tensor, quality: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Quantise with straight-through gradients; rates by uniform noise (Minnen & Singh 2020, arXiv 2007.08739)."""
        from compressai.ops import quantize_ste

        gaussian = self.gaussian.to(y.device)
        z = self.h_a(y)
        weights = level_weights(quality)
        z_scales = scale_of(weights @ self.z_scale_index)[:, :, None, None].expand_as(z)
        _, z_likelihoods = gaussian(z, z_scales, training=self.training)
        planes = weights[:, :, None, None].expand(-1, -1, *z.shape[2:])
        features = self.h_s(torch.cat([quantize_ste(z), planes], 1))[:, :, : y.shape[2], : y.shape[3]]
        anchors, start = checkerboard(y), 0
        y_hat, likelihoods = y[:, :0], []
        for part in self.slices:
            assert isinstance(part, SliceParameters)
            values = y[:, start : start + part.size]
            known = part.known(features, y_hat)
            means, index = part.first_pass(known)
            y_anchor = (quantize_ste(values - means) + means) * anchors
            means_2, index_2 = part.second_pass(known, y_anchor)
            means = torch.where(anchors, means, means_2)
            index = torch.where(anchors, index, index_2)
            y_hat = torch.cat([y_hat, quantize_ste(values - means) + means], 1)
            likelihoods.append(gaussian(values, scale_of(index), means, training=self.training)[1])
            start += part.size
        return y_hat, {"y": torch.cat(likelihoods, 1), "z": z_likelihoods}

    @functools.cached_property
    def gaussian(self) -> Any:
        """CompressAI's likelihoods. It has no weights and is not part of this module's state."""
        from compressai.entropy_models import GaussianConditional

        table = [float(scale_of(torch.tensor(float(i)))) for i in range(SCALE_COUNT)]
        return GaussianConditional(table, scale_bound=SCALE_MIN)

    @property
    def z_scale_index(self) -> Tensor:
        """(LEVELS, n) fractional scale indices of z; the slope makes them train as fast as the weights."""
        return INDEX_START + Z_INDEX_SLOPE * self.z_scale

    def train(self, mode: bool = True) -> Hyperprior:
        """As in torch; training drops the integer entropy model, which would no longer fit the weights."""
        if mode:
            self.exact = None
        super().train(mode)
        return self

    def update(self, scale_table: Any = None, force: bool = False) -> bool:
        """Make the integer entropy model from the weights; CompressAI's tools call this before coding."""
        if self.exact is not None and not force:
            return False
        self.exact = LatentModel(exact_arrays(self))
        return True

    def encode(
        self, image: Pixels, quality: int, effort: int = 0, classifier: EfficientNetLite | None = None
    ) -> tuple[PixelLatents, bytes]:
        """Latents of an image and their bytes.

        Args:
            image: (H, W, 3) uint8, any size; its borders are replicated to multiples of 32.
            quality: 0 to 255.
            effort: rounds of rate-distortion optimised quantisation, which need the whole image's gradient in memory.
            classifier: by whose features drafts are compared in these rounds, beside the squared error.
        """
        with torch.inference_mode():
            q = torch.tensor([quality / 255], device=self.device)
            y = tiling.analyse(self.g_a, image, q).float() * self.gain(q)
            z = self.h_a(y)
        model = self.entropy_model
        latents, data = encode(y[0].cpu().numpy(), z[0].cpu().numpy(), quality, model)
        if effort < 1:
            return latents, data
        with torch.inference_mode(False), torch.enable_grad():  # whatever the caller has set
            latents = optimise(latents, model, self.distortion(image, quality, classifier), effort)
        return latents, pack(latents, model)

    def distortion(self, image: Pixels, quality: int, classifier: EfficientNetLite | None = None) -> Distortion:
        """What drafts of an image (H, W, 3) lose, in bits: squared error and features, by lambda of the quality."""
        height, width, _ = image.shape
        q = torch.tensor([quality / 255], device=self.device)
        weight = trade_off(q) * height * width
        x = to_tensor(image).to(self.device)
        distance = None if classifier is None else FeatureDistance(classifier, x)

        def lost(y: Tensor) -> Tensor:
            y = (y.to(self.device) * self.inverse_gain(q)).contiguous(memory_format=torch.channels_last)
            with half_precision(self.device):
                drawn = (self.g_s(y, q).float() + 0.5)[..., :height, :width]
            error = squared_error(drawn, x, QUARTER_SHARE)
            if distance is not None:
                error = error + FEATURE_WEIGHT * distance(drawn)
            return (weight * error).sum()

        return lost

    def analyse(self, image: Pixels, quality: int) -> PixelLatents:
        """The latents of `encode`."""
        return self.encode(image, quality)[0]

    @torch.inference_mode()
    def synthesise(self, latents: PixelLatents, width: int, height: int) -> Pixels:
        """The draft of latents, (height, width, 3) uint8."""
        q = torch.tensor([latents.quality / 255], device=self.device)
        y = torch.from_numpy(latents.y).to(self.device)[None].float() / UNIT
        return tiling.synthesise(self.g_s, y * self.inverse_gain(q), q, width, height)

    @property
    def entropy_model(self) -> LatentModel:
        """The integer entropy model; made from the weights when it is first used."""
        self.update()
        assert self.exact is not None
        return self.exact

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.gain.log_gain.device

    def compress(self, x: Tensor, quality: int = 191) -> dict[str, Any]:
        """x: (B, 3, H, W) in [0, 1], H and W multiples of 64. Returns {"strings": [[bytes] * B], "shape": z's}."""
        images = (x.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        strings = [self.encode(image, quality)[1] for image in images]
        return {"strings": [strings], "shape": (x.shape[2] // 64, x.shape[3] // 64)}

    def decompress(self, strings: list[list[bytes]], shape: tuple[int, int]) -> dict[str, Tensor]:
        """Inverse of compress: {"x_hat": (B, 3, H, W) in [0, 1]}."""
        height, width = shape[0] * 64, shape[1] * 64
        latents = (unpack(data, width, height, self.entropy_model) for data in strings[0])
        images = np.stack([self.synthesise(each, width, height) for each in latents])
        return {"x_hat": torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2).float() / 255}


def checkerboard(y: Tensor) -> Tensor:
    """(1, 1, H, W) bool: the positions that are coded first, where row + column is even."""
    rows = torch.arange(y.shape[2], device=y.device)[:, None]
    columns = torch.arange(y.shape[3], device=y.device)[None, :]
    return ((rows + columns) % 2 == 0)[None, None]
