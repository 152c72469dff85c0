"""The text tower of the embedded locator and decoder: all-MiniLM-L6-v2, as token states or one vector per text.

    texts ─► WordPiece, at most 64 tokens ─► Bert ─► (B, L, 384) states, (B, L) mask ─► mean ─► (B, 384), length 1

The pooling is that of Sentence-BERT (Reimers & Gurevych 2019, arXiv 1908.10084); sentence-transformers gives the same
vectors.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from ...weights.safe import load, refusing
from .bert import Bert

__all__ = ["MAX_TOKENS", "WIDTH", "TextTower", "load_text_tower"]

MAX_TOKENS = 64
WIDTH = 384  # of a state
FILES = ("model.safetensors", "tokenizer.json", "config.json")


class TextTower:
    """MiniLM's token states and sentence vectors.

    Args:
        model: in evaluation mode.
        tokenizer: its WordPiece tokenizer; its padding and truncation are set.
    """

    def __init__(self, model: Bert, tokenizer: Tokenizer) -> None:
        self.model = model
        self.tokenizer = tokenizer
        tokenizer.enable_truncation(MAX_TOKENS)
        tokenizer.enable_padding(pad_id=model.padding)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.model.parameters()).device

    @property
    def width(self) -> int:
        """Channels of a state: 384."""
        return self.model.width

    def to(self, device: str | torch.device) -> TextTower:
        """Move to a device; returns itself."""
        self.model.to(device)
        return self

    @torch.no_grad()
    def tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """States and mask of texts; the tokens include the start and end tokens.

        Returns:
            states: (B, L, 384) float, L <= 64, zero where there is no token.
            mask: (B, L) bool, True at tokens.
        """
        encoded = self.tokenizer.encode_batch(list(texts))
        ids = torch.tensor([each.ids for each in encoded], device=self.device)
        mask = torch.tensor([each.attention_mask for each in encoded], device=self.device)
        states: Tensor = self.model(ids, mask)
        return states * mask[..., None], mask.bool()

    def embed(self, texts: Sequence[str]) -> Tensor:
        """(B, 384) float, the mean of each text's states, scaled to length 1."""
        states, mask = self.tokens(texts)
        return F.normalize(states.sum(1) / mask.sum(1, keepdim=True), dim=1)


def load_text_tower(folder: Path, device: str | torch.device = "cpu") -> TextTower:
    """The frozen tower of a folder with model.safetensors, tokenizer.json and config.json.

    Args:
        folder: that folder, or one of the files in it, such as a package's path.

    Raises:
        WeightsError: a file is missing or holds something else.
    """
    folder = folder if folder.is_dir() else folder.parent
    weights, tokens, config = (folder / name for name in FILES)
    with refusing(tokens, "the text tower"):
        tokenizer = Tokenizer.from_str(tokens.read_text("utf-8"))
    with refusing(config, "the text tower"), torch.device("meta"):  # avoids a random initialisation
        model = Bert(json.loads(config.read_text("utf-8")))
    with refusing(weights, "the text tower"):
        model.take(load(weights, "pt").tensors)
    return TextTower(model.eval().requires_grad_(False).to(device), tokenizer)
