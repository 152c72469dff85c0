"""What is to be drawn, and how it is laid before the networks: sizes, texts, images and masks as tensors.

Scene (Streams, draft) ─► Frame (working size, padded latents) ─► image (B, 3, H, W), texts, masks ─► controls
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...bits.streams import Streams
from ...bits.text.description import Description
from ...errors import InputError
from ..image_tensors import Pixels, to_pixels, to_tensor
from .edges import edges

__all__ = ["Frame", "Scene", "control", "draft_planes", "frame_of", "join_batch", "texts"]


@dataclass(frozen=True)
class Scene:
    """What a decoder draws: the streams of a file and the image that the pixel stream gives by itself.

    Attributes:
        streams: of the file; of its pixels, the quality alone is looked at.
        draft: (height, width, 3) uint8, the pixel stream's own image; None if there is no pixel stream.

    Raises:
        InputError: there is neither a text nor a draft, or the draft has another size.
    """

    streams: Streams
    draft: Pixels | None = None

    def __post_init__(self) -> None:
        width, height, text = self.streams.width, self.streams.height, self.streams.text
        if self.draft is None and (text is None or not any(text.fields())):
            raise InputError("there is nothing to draw: the file has neither a text nor pixels")
        if self.draft is not None and self.draft.shape != (height, width, 3):
            raise InputError(f"the draft is not {width}x{height}")

    @property
    def quality(self) -> int:
        """The pixel stream's, 0 to 255; InputError if there is none."""
        if self.streams.pixels is None:
            raise InputError("the quality of a draft without pixel stream is not known")
        return self.streams.pixels.quality

    def kind(self) -> tuple[int, int, bool, bool]:
        """What scenes have in common that can be drawn as one batch: size, and which streams there are."""
        streams = self.streams
        return streams.width, streams.height, self.draft is not None, streams.regions is not None


@dataclass(frozen=True)
class Frame:
    """Sizes at work.

    Attributes:
        width, height: of what is drawn, in pixels.
        rows, columns: of the latents, padded to what the networks need.
        factor: pixels along a latent.
    """

    width: int
    height: int
    rows: int
    columns: int
    factor: int

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of latents that the image has, without what pads it."""
        return -(-self.height // self.factor), -(-self.width // self.factor)


def frame_of(scene: Scene, *, native: int, tile: int, factor: int, multiple: int) -> Frame:
    """Sizes for a scene.

    An image of text alone is drawn at the size that the networks know, and scaled afterwards: beyond it they repeat
    things, far below it they draw none. `multiple` is in latents.
    """
    width, height = scene.streams.width, scene.streams.height
    if scene.draft is None:
        ratio = min(native / math.sqrt(width * height), tile / max(width, height))
        width, height = max(1, round(width * ratio)), max(1, round(height * ratio))
    rows, columns = (-(-side // (factor * multiple)) * multiple for side in (height, width))
    return Frame(width, height, rows, columns, factor)


def texts(description: Description | None) -> tuple[str, list[str]]:
    """The prompt of the whole, and one of every item: "name, detail"."""
    if description is None:
        return "", []
    items = [", ".join(filter(None, (item.name, item.detail))) for item in description.items]
    return description.whole(), items


def draft_planes(draft: Pixels, frame: Frame) -> Tensor:
    """A draft as (1, 3, rows * factor, columns * factor) float in [0, 1]; its last row and column go on."""
    return pad(to_tensor(draft), frame)


def pad(planes: Tensor, frame: Frame) -> Tensor:
    """Planes (B, C, height, width) as (B, C, rows * factor, columns * factor): the last row and column go on."""
    height, width = frame.rows * frame.factor, frame.columns * frame.factor
    return F.pad(planes, (0, width - planes.shape[3], 0, height - planes.shape[2]), mode="replicate")


def control(
    scene: Scene, frame: Frame, shown: Tensor | None, *, kind: str, channels: int, detector: Path | None = None
) -> Tensor | None:
    """What a ControlNet is shown of a scene, (1, channels, rows * factor, columns * factor) in [0, 1], or nothing.

    Args:
        shown: `draft_planes` of the scene, if it has a draft.
        kind: `draft`, `canny` or `hed`.
        channels: 3; more are masks of the first items, zero where there are none, as is the image then.
    """
    masks = None if scene.streams.regions is None or channels == 3 else scene.streams.regions.masks[: channels - 3]
    if kind != "draft" and shown is not None:
        return to_tensor(edges(kind, to_pixels(shown[0]), detector))
    if kind != "draft" or (shown is None and masks is None):
        return None
    height, width = frame.rows * frame.factor, frame.columns * frame.factor
    planes = torch.zeros(1, channels, height, width)
    if shown is not None:
        planes[:, :3] = shown
    if masks is not None and len(masks):
        soft = torch.from_numpy(np.array(masks)).float()[None]
        soft = F.interpolate(soft, (frame.height, frame.width), mode="bilinear", antialias=True)
        planes[:, 3 : 3 + len(masks)] = pad(soft.clamp(0, 1), frame)
    return planes


def join_batch(parts: Sequence[Tensor | None]) -> Tensor | None:
    """One batch of what every scene has, (1, C, H, W) each, or None where no scene has it."""
    return torch.cat([part for part in parts if part is not None]) if parts[0] is not None else None
