"""A vision tower and a CLIP of the real classes with random weights, for metrics."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from misc.configs import build
from misc.models.clip.embedded import ClipHeads
from misc.models.locator import EmbeddedClip
from misc.models.towers.vision import PATCH, WIDTH
from misc.models.towers.vit import VisionTransformer
from misc.profiles import load_profile


class Texts:
    """A text tower that gives each text a vector of its own."""

    device = torch.device("cpu")

    def embed(self, texts: list[str]) -> Tensor:
        rows = [torch.randn(WIDTH, generator=torch.Generator().manual_seed(sum(text.encode()))) for text in texts]
        return torch.nn.functional.normalize(torch.stack(rows), dim=1)


@functools.cache
def semantics() -> Any:
    """What metrics use of `misc.models.semantics.Semantics`."""
    torch.manual_seed(0)
    tower = VisionTransformer(WIDTH, layers=1, heads=6, patch=PATCH, positions=37).eval().requires_grad_(False)
    clip = EmbeddedClip(tower, Texts(), build(ClipHeads, "clip-heads").eval())  # type: ignore[arg-type]
    return SimpleNamespace(profile=load_profile(), tower=tower, clip=clip, clip_heads=clip.heads, device="cpu")
