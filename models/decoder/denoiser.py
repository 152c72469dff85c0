"""The network of one step: ControlNets, UNet and classifier-free guidance, over one tile after another.

latents, controls ─► ControlNets ─► residuals, summed ─┐
latents, prompt with biases ───────────────────────────┴─► UNet ─► unconditional + guidance · difference
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .regional_attention import Prompt, attend, biases
from .tiling import Window, blend, windows

__all__ = ["Denoiser", "Guide", "predictor"]


@dataclass(frozen=True)
class Guide:
    """What leads the sampling of B images; G is 2 under guidance, the unconditional half first, else 1.

    Attributes:
        prompt: prompts of the G * B inputs.
        planes: (B, P, h, w), as `planes_of`.
        controls: for each ControlNet, (B, C, f h, f w) in [0, 1], or None if it has nothing to show.
        guidance: scale.
        time_ids: (G * B, 6) for SDXL: height and width in pixels, top and left of the crop, height and width wanted.
    """

    prompt: Prompt
    planes: Tensor
    controls: Sequence[Tensor | None]
    guidance: float = 1.0
    time_ids: Tensor | None = None


class Denoiser(nn.Module):
    """A UNet with its ControlNets, whose residuals add up (as diffusers' MultiControlNetModel's).

    Args:
        unet: UNet2DConditionModel.
        controlnets: ControlNetModel each.
        scales: of their residuals.
    """

    def __init__(self, unet: nn.Module, controlnets: Sequence[nn.Module] = (), scales: Sequence[float] = ()) -> None:
        super().__init__()
        self.unet = unet
        self.controlnets = nn.ModuleList(controlnets)
        self.scales = list(scales) or [1.0] * len(controlnets)
        for net in (unet, *controlnets):
            attend(net)

    @property
    def levels(self) -> int:
        """Resolutions, each half the one before."""
        config: Any = self.unet.config
        return len(config["block_out_channels"])

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        states: Tensor,
        bias: dict[int, Tensor] | None,
        controls: Sequence[Tensor | None],
        added: dict[str, Tensor] | None,
        guidance: float,
    ) -> Tensor:
        """The prediction (B, C, h, w); G is 2 under guidance, else 1.

        Args:
            latents: (B, C, h, w).
            timestep: () of the scheduler.
            states: (G * B, K, D) keys of the prompts.
            bias: by number of positions, (G * B, 1, positions, K) added to the logits of attention; None for nothing.
            controls: of each ControlNet, (G * B, channels, f * h, f * w) in [0, 1], or None.
            added: what SDXL gets besides: pooled text and time ids.
            guidance: scale of classifier-free guidance, 1 or more.
        """
        twice = states.shape[0] // latents.shape[0]
        inputs = torch.cat([latents] * twice)
        common: dict[str, Any] = {
            "encoder_hidden_states": states,
            "added_cond_kwargs": added,
            "cross_attention_kwargs": {"bias": bias},
            "return_dict": False,
        }
        down: list[Tensor] | None = None
        middle: Tensor | None = None
        for net, scale, control in zip(self.controlnets, self.scales, controls, strict=True):
            if control is None:
                continue
            more, at_middle = net(inputs, timestep, controlnet_cond=control, conditioning_scale=scale, **common)
            down = list(more) if down is None else [a + b for a, b in zip(down, more, strict=True)]
            middle = at_middle if middle is None else middle + at_middle
        prediction: Tensor = self.unet(
            inputs,
            timestep,
            down_block_additional_residuals=None if down is None else tuple(down),
            mid_block_additional_residual=middle,
            **common,
        )[0]
        if twice == 1:
            return prediction
        without, with_text = prediction.chunk(2)
        return without + guidance * (with_text - without)


def predictor(
    denoiser: Callable[..., Tensor], guide: Guide, *, levels: int, tile: int, overlap: int, dtype: torch.dtype
) -> Callable[[Tensor, Tensor], Tensor]:
    """The function (latents (B, C, h, w), timestep) -> prediction, float32, of a guide; tile and overlap in latents."""
    height, width = guide.planes.shape[2:]
    twice = guide.prompt.states.shape[0] // guide.planes.shape[0]
    states = guide.prompt.states.to(dtype)
    added = None
    if guide.time_ids is not None:
        assert guide.prompt.pooled is not None
        added = {"text_embeds": guide.prompt.pooled.to(dtype), "time_ids": guide.time_ids}

    def prepare(window: Window) -> tuple[dict[int, Tensor] | None, list[Tensor | None]]:
        planes = window.of(guide.planes).repeat(twice, 1, 1, 1)
        shown: list[Tensor | None] = []
        for control in guide.controls:
            factor = 1 if control is None else control.shape[3] // width
            shown.append(None if control is None else window.of(control, factor).repeat(twice, 1, 1, 1).to(dtype))
        return biases(planes, guide.prompt.plane, levels, dtype), shown

    places = windows(height, width, tile, overlap)
    once = prepare(places[0]) if len(places) == 1 else None  # of many tiles, one at a time is kept

    def predict(latents: Tensor, timestep: Tensor) -> Tensor:
        def part(window: Window) -> Tensor:
            bias, controls = once or prepare(window)
            inputs = window.of(latents).to(dtype)
            return denoiser(inputs, timestep, states, bias, controls, added, guide.guidance)

        return blend(part, height, width, tile, overlap).float()

    return predict
