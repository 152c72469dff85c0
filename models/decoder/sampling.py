"""Sampling by any scheduler of diffusers: from noise, or from latents that are noised to a strength.

    flow matching:  strength s ─► levels s, s (n-1)/n, ... s/n ─► x = (1-s) latents + s noise ─► n steps
    diffusion:      the last n of n/s time steps, as in image-to-image (SDEdit, arXiv 2108.01073)

`steps` is the number of the network's calls, except for second-order schedulers and schedulers with warm-up steps.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError

__all__ = ["sample", "timetable"]


def timetable(scheduler: Any, steps: int, strength: float, device: torch.device) -> Tensor:
    """Time steps for so many calls that begin at the noise of a strength; sets the scheduler to them.

    A diffusion scheduler makes n = steps / strength of them, rounded, and all but the last `steps` are left out, as
    diffusers' image-to-image pipelines do. Few steps have few strengths, steps / n: one step has 1, 1/2, 1/3 ...

    Raises:
        InputError: the scheduler has no such time steps.
    """
    if is_flow(scheduler):
        scheduler.set_timesteps(sigmas=np.linspace(strength, strength / steps, steps), device=device)
        begin = 0
    else:
        total = max(steps, round(steps / strength))
        try:
            if total > int(scheduler.config.num_train_timesteps):  # fewer would begin at more noise
                raise ValueError(f"{total} steps")
            scheduler.set_timesteps(total, device=device)
        except ValueError as error:
            name = type(scheduler).__name__
            raise InputError(f"{name} has no {steps} steps at strength {strength:g}; take fewer steps") from error
        begin = (total - steps) * order_of(scheduler)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(begin)
    times: Tensor = scheduler.timesteps[begin:]
    return times


def order_of(scheduler: Any) -> int:
    """Calls of the network in a step: 1, or 2 of a scheduler such as Heun's."""
    return int(getattr(scheduler, "order", 1))


def sample(
    predict: Callable[[Tensor, Tensor], Tensor],
    scheduler: Any,
    noise: Tensor,
    *,
    steps: int,
    strength: float = 1.0,
    latents: Tensor | None = None,
    seeds: Sequence[int] = (),
    eta: float = 0.0,
    on_step: Callable[[], None] = lambda: None,
) -> Tensor:
    """Latents (B, C, h, w) float32.

    Args:
        predict: the network's prediction (B, C, h, w) for latents (B, C, h, w) at a time step ().
        scheduler: any of diffusers; it is not changed.
        noise: (B, C, h, w) float32, standard normal.
        steps: number of calls of the network, with the exceptions above.
        strength: share of noise in the start, above 0 and up to 1; 1 without latents.
        latents: (B, C, h, w) of the start; None for noise alone.
        seeds: (B,) of the noise that some schedulers add in each step.
        eta: share of that noise, 0 to 1, for schedulers with such a share, as in `Sampling`; TCD's default is not 0.
        on_step: called after every step.
    """
    scheduler = copy.deepcopy(scheduler)  # its state is one image's
    times = timetable(scheduler, steps, strength if latents is not None else 1.0, noise.device)
    if latents is None:
        current = noise * getattr(scheduler, "init_noise_sigma", 1.0)
    elif is_flow(scheduler):
        current = scheduler.scale_noise(latents, times[:1].expand(len(latents)), noise)
    else:
        current = scheduler.add_noise(latents, noise, times[:1].expand(len(latents)))
    extra: dict[str, Any] = {}
    accepted = inspect.signature(scheduler.step).parameters
    if "eta" in accepted:
        extra["eta"] = eta
    if seeds and "generator" in accepted:
        extra["generator"] = [torch.Generator().manual_seed(seed) for seed in seeds]
    scale = getattr(scheduler, "scale_model_input", lambda value, _: value)
    more = len(times) - steps * order_of(scheduler)  # calls that some schedulers need beside their steps
    for k, time in enumerate(times):
        prediction = predict(scale(current, time), time)
        current = scheduler.step(prediction, time, current, return_dict=False, **extra)[0]
        if k == len(times) - 1 or (k >= more and (k + 1) % order_of(scheduler) == 0):
            on_step()
    return current


def is_flow(scheduler: Any) -> bool:
    """Whether it is of flow matching, where noise is mixed in by weights that add up to 1."""
    return hasattr(scheduler, "scale_noise")
