"""The text tower of the embedded locator and decoder: all-MiniLM-L6-v2, as token states or as one vector a text.

    texts ─► WordPiece, at most 64 tokens ─► BertModel ─► (B, L, 384) states, (B, L) mask ─► mean ─► (B, 384), length 1

Sentence-BERT (Reimers & Gurevych 2019, arXiv 1908.10084) pools so; sentence-transformers gives the same vectors.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor
from transformers import BertConfig, BertModel

from ...weights.safe import load, refusing

__all__ = ["MAX_TOKENS", "WIDTH", "TextTower", "load_text_tower"]

MAX_TOKENS = 64
WIDTH = 384  # of a state
FILES = ("model.safetensors", "tokenizer.json", "config.json")


class TextTower:
    """MiniLM's token states and sentence vectors.

    Args:
        model: a BertModel, in evaluation mode.
        tokenizer: its WordPiece tokenizer; its padding and truncation are set.
    """

    def __init__(self, model: BertModel, tokenizer: Tokenizer) -> None:
        self.model = model
        self.tokenizer = tokenizer
        tokenizer.enable_truncation(MAX_TOKENS)
        tokenizer.enable_padding(pad_id=model.config.pad_token_id or 0)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def width(self) -> int:
        """Channels of a state: 384."""
        return int(self.model.config.hidden_size)

    def to(self, device: str | torch.device) -> TextTower:
        """Move to a device; returns itself."""
        torch.nn.Module.to(self.model, device)
        return self

    @torch.no_grad()
    def tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """States and mask of texts, with the first and last marks among the tokens.

        Returns:
            states: (B, L, 384) float, L <= 64, zero where there is no token.
            mask: (B, L) bool, True at tokens.
        """
        encoded = self.tokenizer.encode_batch(list(texts))
        ids = torch.tensor([each.ids for each in encoded], device=self.device)
        mask = torch.tensor([each.attention_mask for each in encoded], device=self.device)
        states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
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
        tokenizer = Tokenizer.from_str(tokens.read_text())
    with refusing(config, "the text tower"):
        model = BertModel(BertConfig(**json.loads(config.read_text())), add_pooling_layer=False)
    with refusing(weights, "the text tower"):
        state = {name.removeprefix("bert."): value for name, value in load(weights, "pt").tensors.items()}
        missing = model.load_state_dict(state, strict=False).missing_keys
        if missing:
            raise KeyError(missing[0])
    return TextTower(model.eval().requires_grad_(False).to(device), tokenizer)
