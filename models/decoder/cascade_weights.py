"""The embedded decoder from its weights: an upsampler of this project or Real-ESRGAN x4plus, and a memory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

from torch import Tensor

from ...configs import build
from ...decoder_profile import X4PLUS
from ...errors import WeightsError
from ...profiles import Profile
from ..hyperprior.hyperprior import Hyperprior
from ..memory.recall import Recall
from ..memory.store import load_memory
from .cascade import Cascade
from .ncnn import read_convolutions
from .sharpen import Sharpener
from .upsampler import Upsampler
from .upsampler_weights import load_upsampler

__all__ = ["load_cascade", "load_sharpener", "load_x4plus"]

X4PLUS_CONFIG = "upsampler"


def load_cascade(
    profile: Profile, device: str, hyperprior: Hyperprior, embed: Callable[[Sequence[str]], Tensor]
) -> Cascade:
    """The embedded decoder of a profile; each part is loaded when it first draws.

    Args:
        hyperprior: draws the memory's photos.
        embed: texts to embeddings of the embedded CLIP.

    Raises:
        WeightsError: the profile has none, or later, its weights are missing, damaged or of another network.
    """
    table = profile.cascade
    if table is None:
        raise WeightsError(f"profile {profile.name} has no embedded decoder")
    recall = functools.cache(lambda: Recall(load_memory(checkpoint(table.memory)), hyperprior, embed))
    sharpener = functools.cache(lambda: load_sharpener(profile, device))
    return Cascade(sharpener, recall if table.memory else None)


def load_sharpener(profile: Profile, device: str) -> Sharpener:
    """The profile's upsampler on a device; raises as `load_cascade`."""
    if profile.cascade is None:
        raise WeightsError(f"profile {profile.name} has no upsampler")
    if profile.cascade.upsampler == X4PLUS:
        return Sharpener(load_x4plus(profile), device)
    return Sharpener(load_upsampler(checkpoint(profile.cascade.upsampler)), device)


def load_x4plus(profile: Profile) -> Upsampler:
    """Real-ESRGAN x4plus as it comes, of the profile's packages; raises as `load_cascade`."""
    weights = profile.packages[X4PLUS].sound_path()
    network = build(Upsampler, X4PLUS_CONFIG)
    network.load_x4plus(read_convolutions(weights.with_suffix(".param"), weights))
    return network


def checkpoint(name: str) -> Path:
    """A file below misc/checkpoints."""
    return Path(str(resources.files("misc.checkpoints"))) / name
