"""Shorter words for mode micro: pairs that mean the same, in `synonyms.toml`.

A pair's second word has a shorter skeleton, so it stands for the first wherever bits are few. Nothing is lost for the
one who reads or draws the words; the letters of the first word are, which mode micro never kept.
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
    """Word to a word of the same meaning whose skeleton is shorter."""
    return MappingProxyType(tomllib.loads(SYNONYMS_FILE.read_text(encoding="utf-8"))["words"])
