"""Shorter words for mode micro: pairs that mean the same, in `synonyms.toml`.

The second word of a pair has a shorter skeleton, so it replaces the first if there are too few bits. The meaning stays
the same.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

__all__ = ["SYNONYMS_FILE", "shorter_words"]

SYNONYMS_FILE = Path(__file__).with_name("synonyms.toml")


@functools.cache
def shorter_words() -> Mapping[str, str]:
    """Word to a synonym with a shorter skeleton."""
    return MappingProxyType(tomllib.loads(SYNONYMS_FILE.read_text(encoding="utf-8"))["words"])
