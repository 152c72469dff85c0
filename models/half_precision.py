"""Half precision where it is faster."""

from __future__ import annotations

import torch

__all__ = ["fast_dtype", "half_precision"]


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on a GPU, and on a CPU that multiplies in bfloat16 itself; else float32, which is then faster."""
    has_it = device.type != "cpu" or bool(torch.cpu._is_avx512_bf16_supported())
    return torch.bfloat16 if has_it else torch.float32


def half_precision(device: torch.device, dtype: torch.dtype | None = None) -> torch.autocast:
    """Networks inside run in a dtype, by default that of `fast_dtype`."""
    dtype = dtype or fast_dtype(device)
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
