"""Texts for training: captions of shards, and the half of the LMM descriptions that models may be trained on."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["captions", "held_out_half", "read_descriptions", "training_half"]


def read_descriptions(data: Path) -> list[str]:
    """All LMM descriptions of a data folder."""
    lines = (data / "text" / "lmm_descriptions.jsonl").read_text().splitlines()
    return [json.loads(line)["text"] for line in lines]


def training_half(texts: Sequence[str]) -> list[str]:
    """The texts with even index, which models may be trained on."""
    return list(texts[0::2])


def held_out_half(texts: Sequence[str]) -> list[str]:
    """The texts with odd index; only these are used for figures."""
    return list(texts[1::2])


def captions(shards: Sequence[Path]) -> Iterator[list[str]]:
    """The captions of every photo of the shards that has any."""
    for shard in shards:
        with tarfile.open(shard) as archive:
            for member in archive:
                if member.name.endswith(".json"):
                    texts = json.load(archive.extractfile(member)).get("captions")  # type: ignore[arg-type]
                    if texts:
                        yield texts
