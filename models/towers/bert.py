"""BERT's encoder (Devlin et al. 2018, arXiv 1810.04805), for inference with existing weights.

    tokens ─► words + positions ─► norm ─► layers x (attention, norm, MLP, norm) ─► states

Its states equal those of transformers' BertModel without a pooling layer; that library takes three seconds to import.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Bert"]

DEFAULTS: dict[str, Any] = {
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "type_vocab_size": 2,
}

NEW_NAMES = (
    ("bert.", ""),
    ("embeddings.LayerNorm", "norm"),
    ("embeddings.word_", "word_"),
    ("embeddings.position_", "position_"),
    ("embeddings.token_", "token_"),
    ("encoder.layer.", "layers."),
    ("attention.self.", ""),
    ("attention.output.dense", "output"),
    ("attention.output.LayerNorm", "norm1"),
    ("intermediate.dense", "fc1"),
    ("output.dense", "fc2"),
    ("output.LayerNorm", "norm2"),
)
UNUSED = ("pooler.", "position_ids")


class Layer(nn.Module):
    """Attention and MLP, each followed by a normalisation."""

    def __init__(self, width: int, heads: int, hidden: int, epsilon: float) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=epsilon), nn.LayerNorm(width, eps=epsilon)

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        """(B, L, width) of the same; visible: (B, 1, 1, L) bool."""
        query, key, value = (
            part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, visible).transpose(1, 2).flatten(2)
        x = self.norm1(self.output(mixed) + x)
        y: Tensor = self.norm2(self.fc2(functional.gelu(self.fc1(x))) + x)
        return y


class Bert(nn.Module):
    """States of tokens.

    Args:
        config: a `config.json` of a BERT on the hub; missing values are those of the paper.

    Raises:
        KeyError, ValueError: it is incomplete, or describes another kind of network.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        sizes: dict[str, Any] = DEFAULTS | dict(config)
        if (sizes["hidden_act"], sizes["position_embedding_type"]) != ("gelu", "absolute"):
            raise ValueError("a network of another kind")
        self.width = int(sizes["hidden_size"])
        self.padding = int(sizes["pad_token_id"] or 0)
        self.word_embeddings, self.position_embeddings, self.token_type_embeddings = (
            nn.Embedding.from_pretrained(torch.zeros(sizes[count], self.width))  # avoids a random initialisation
            for count in ("vocab_size", "max_position_embeddings", "type_vocab_size")
        )
        self.norm = nn.LayerNorm(self.width, eps=sizes["layer_norm_eps"])
        heads, hidden = sizes["num_attention_heads"], sizes["intermediate_size"]
        self.layers = nn.ModuleList(
            Layer(self.width, heads, hidden, sizes["layer_norm_eps"]) for _ in range(sizes["num_hidden_layers"])
        )

    def take(self, state: Mapping[str, Tensor]) -> None:
        """Load parameters by their names in transformers; RuntimeError if they do not fit."""
        own = {rename(name): value.float() for name, value in state.items()}
        self.load_state_dict({name: own[name] for name in own if not name.startswith(UNUSED)}, assign=True)

    def forward(self, tokens: Tensor, visible: Tensor) -> Tensor:
        """(B, L, width) states of tokens (B, L); visible: (B, L), nonzero at tokens, 0 at padding."""
        x = self.word_embeddings(tokens) + self.token_type_embeddings.weight[0]
        x = self.norm(x + self.position_embeddings.weight[: tokens.shape[1]])
        for layer in self.layers:
            x = layer(x, visible.bool()[:, None, None])
        states: Tensor = x
        return states


def rename(name: str) -> str:
    """The parameter's name here for its name in transformers."""
    for old, new in NEW_NAMES:
        name = name.replace(old, new)
    return name
