"""How the streams act on one another: prompts and masks of a batch, regional in one pass or an item at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...decoder_profile import Sampling
from .denoiser import Guide
from .regional_attention import FIRST_ITEM, Prompt, planes_of, prompt_of, stack_prompts
from .scene import Frame, Scene, texts
from .text_encoders import TextEncoder

__all__ = ["calls", "guide_of", "in_sequence", "item_guides", "item_steps"]

ITEM_STEPS = 3 / 40  # of all steps, for each item in sequence: MISC takes 3, and 40 for the whole


def in_sequence(scene: Scene, sampling: Sampling) -> bool:
    """Whether a scene is drawn item by item: it needs maps and a text's items."""
    return sampling.fusion == "sequential" and scene.streams.regions is not None and bool(texts(scene.streams.text)[1])


def item_steps(sampling: Sampling) -> int:
    """Steps for an item drawn by itself."""
    return max(1, round(sampling.steps * ITEM_STEPS))


def calls(scene: Scene, sampling: Sampling) -> int:
    """Steps that a scene takes."""
    if not in_sequence(scene, sampling):
        return sampling.steps
    passes = 1 if scene.draft is not None else 2
    return passes * sampling.steps + len(texts(scene.streams.text)[1]) * item_steps(sampling)


def guide_of(
    text: TextEncoder, scenes: Sequence[Scene], frame: Frame, controls: Sequence[Tensor | None], sampling: Sampling
) -> Guide:
    """The guide of whole scenes: their prompts and, unless they are drawn item by item, their items' with masks."""
    prompts: list[Prompt] = []
    count = 0
    for scene in scenes:
        whole, items = texts(scene.streams.text)
        if in_sequence(scene, sampling):
            items = []
        count = max(count, len(items))
        prompts.append(prompt_of(text, whole, items))
    masks = [planes_of(scene.streams.regions, count, frame.cells, (frame.rows, frame.columns)) for scene in scenes]
    worded = any(scene.streams.text is not None for scene in scenes)
    return assemble(text, prompts, torch.cat(masks), frame, controls, sampling, worded=worded)


def item_guides(
    text: TextEncoder, scene: Scene, frame: Frame, controls: Sequence[Tensor | None], sampling: Sampling
) -> list[tuple[Guide, Tensor]]:
    """For each item of a scene, the guide that knows of it alone, and its mask (1, 1, rows, columns)."""
    items = texts(scene.streams.text)[1]
    planes = planes_of(scene.streams.regions, len(items), frame.cells, (frame.rows, frame.columns))
    everywhere = planes[:, :FIRST_ITEM]
    return [
        (
            assemble(text, [prompt_of(text, item)], everywhere, frame, controls, sampling),
            planes[:, FIRST_ITEM + k : FIRST_ITEM + k + 1],
        )
        for k, item in enumerate(items)
    ]


def assemble(
    text: TextEncoder,
    prompts: list[Prompt],
    planes: Tensor,
    frame: Frame,
    controls: Sequence[Tensor | None],
    sampling: Sampling,
    *,
    worded: bool = True,
) -> Guide:
    """A guide of prompts, with the negative prompt's half before them if there is guidance.

    Args:
        worded: whether any prompt says something; if not, and there is no negative prompt either, guidance would do
            nothing, at twice the time.
    """
    device = prompts[0].states.device
    if sampling.guidance > 1 and (worded or sampling.negative):
        prompts = [negative_of(text, sampling.negative)] * len(prompts) + prompts
    prompt = stack_prompts(prompts)
    times = None
    if prompt.pooled is not None:  # SDXL is told the size before and after cropping, and where it was cropped
        size = [float(frame.rows * frame.factor), float(frame.columns * frame.factor)]
        times = torch.tensor([[*size, 0.0, 0.0, *size]], device=device).repeat(len(prompts), 1)
    return Guide(prompt, planes.to(device), controls, sampling.guidance, times)


def negative_of(text: TextEncoder, negative: str) -> Prompt:
    """The keys (B = 1) that guidance leads away from."""
    prompt = prompt_of(text, negative)
    if negative or not text.zero_negative:
        return prompt
    pooled = None if prompt.pooled is None else torch.zeros_like(prompt.pooled)
    return Prompt(torch.zeros_like(prompt.states), prompt.plane, pooled)
