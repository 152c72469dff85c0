"""A vision tower and a CLIP of the real classes with random weights, for metrics."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from transformers import Dinov2Config, Dinov2Model

from misc.configs import build
from misc.models.clip.embedded import ClipHeads
from misc.models.locator import EmbeddedClip
from misc.models.towers.vision import WIDTH
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
    config = Dinov2Config(hidden_size=WIDTH, num_hidden_layers=1, num_attention_heads=6, image_size=518, patch_size=14)
    tower = Dinov2Model(config).eval().requires_grad_(False)
    clip = EmbeddedClip(tower, Texts(), build(ClipHeads, "clip-heads").eval())  # type: ignore[arg-type]
    return SimpleNamespace(profile=load_profile(), tower=tower, clip=clip)
