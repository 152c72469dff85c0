"""Metrics: similarity of a decoded image to its original."""

from .catalogue import METRICS, Metric
from .panel import USUAL, Figures, Panel
from .st_lpips import Reference, StLpips, mean_of

__all__ = ["METRICS", "USUAL", "Figures", "Metric", "Panel", "Reference", "StLpips", "mean_of"]
