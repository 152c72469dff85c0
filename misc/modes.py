"""Modes: which streams a file gets."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["MODES", "Mode"]

Mode = Literal["dlsvc", "micro", "text", "text+map", "pixel", "misc"]
MODES: tuple[str, ...] = get_args(Mode)
