"""Metrics: how near a decoded image is to its original."""

from .panel import Panel
from .st_lpips import Reference, StLpips, mean_of

__all__ = ["Panel", "Reference", "StLpips", "mean_of"]
