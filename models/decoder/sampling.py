"""Sampling by any scheduler of diffusers: from noise, or from latents that are noised to a strength.

    flow matching:  strength s ─► levels s, s (n-1)/n, ... s/n ─► x = (1-s) latents + s noise ─► n steps
    diffusion:      the last n of n/s time steps, as in image-to-image (SDEdit, arXiv 2108.01073)

`steps` is always the number of the network's calls.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["sample", "timetable"]


def timetable(scheduler: Any, steps: int, strength: float, device: torch.device) -> Tensor:
    """Time steps for so many calls that begin at the noise of a strength; sets the scheduler to them."""
    if is_flow(scheduler):
        scheduler.set_timesteps(sigmas=np.linspace(strength, strength / steps, steps), device=device)
        begin = 0
    else:
        total = min(max(steps, round(steps / strength)), int(scheduler.config.num_train_timesteps))
        scheduler.set_timesteps(total, device=device)
        begin = max(0, len(scheduler.timesteps) - steps * int(getattr(scheduler, "order", 1)))
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(begin)
    times: Tensor = scheduler.timesteps[begin:]
    return times


def sample(
    predict: Callable[[Tensor, Tensor], Tensor],
    scheduler: Any,
    noise: Tensor,
    *,
    steps: int,
    strength: float = 1.0,
    latents: Tensor | None = None,
    seeds: Sequence[int] = (),
    on_step: Callable[[], None] = lambda: None,
) -> Tensor:
    """Latents (B, C, h, w) float32.

    Args:
        predict: what the network says of latents at a time step. scheduler: any of diffusers; it is left as it is.
        noise: (B, C, h, w) float32, standard normal. strength, latents: the start, if it is not noise alone.
        seeds: of the noise that some schedulers add on their way. on_step: called after every step.
    """
    scheduler = copy.deepcopy(scheduler)  # its state is one picture's
    times = timetable(scheduler, steps, strength if latents is not None else 1.0, noise.device)
    if latents is None:
        current = noise * getattr(scheduler, "init_noise_sigma", 1.0)
    elif is_flow(scheduler):
        current = scheduler.scale_noise(latents, times[:1].expand(len(latents)), noise)
    else:
        current = scheduler.add_noise(latents, noise, times[:1].expand(len(latents)))
    extra: dict[str, Any] = {}
    if seeds and "generator" in inspect.signature(scheduler.step).parameters:
        extra["generator"] = [torch.Generator().manual_seed(seed) for seed in seeds]
    scale = getattr(scheduler, "scale_model_input", lambda value, _: value)
    for time in times:
        prediction = predict(scale(current, time), time)
        current = scheduler.step(prediction, time, current, return_dict=False, **extra)[0]
        on_step()
    return current


def is_flow(scheduler: Any) -> bool:
    """Whether it is of flow matching, where noise is mixed in by weights that add up to 1."""
    return hasattr(scheduler, "scale_noise")
