"""A LoRA of a model hub, added to the UNet's own weights (Hu 2021, arXiv 2106.09685): W + alpha / rank · up · down.

A step costs as much as without the LoRA.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from ...errors import WeightsError
from ...weights.safe import load, refusing

__all__ = ["add_lora"]

NAME = "lora"


def add_lora(unet: nn.Module, path: Path) -> None:
    """Change a UNet's weights by a LoRA, read by diffusers' own loader in diffusers' or in kohya's naming.

    Args:
        unet: UNet2DConditionModel; no layer is added to it.
        path: of a safetensors file.

    Raises:
        WeightsError: the file is missing, damaged, of another network, or changes text encoders too.
    """
    from diffusers.loaders.lora_pipeline import StableDiffusionLoraLoaderMixin as Loader

    net: Any = unet
    with refusing(path, "the decoder's LoRA"):
        state, alphas = Loader.lora_state_dict(load(path, framework="pt").tensors)
        if not state or not all(name.startswith("unet.") for name in state):
            raise WeightsError(f"the LoRA {path.name} changes other networks than the UNet")
        Loader.load_lora_into_unet(state, network_alphas=alphas, unet=net, adapter_name=NAME)
        changed = sum(hasattr(module, "lora_A") for module in net.modules())
        wanted = sum(name.endswith(("down.weight", "lora_A.weight")) for name in state)
        if changed != wanted:
            raise WeightsError(f"the LoRA {path.name} is of another network: {changed} of its {wanted} layers fit")
        net.fuse_lora(adapter_names=[NAME])
        net.unload_lora()
