"""A Llama (Touvron et al. 2023, arXiv 2302.13971) in floats, for training and inference.

    tokens ─► embeddings ─► layers x (norm, causal attention with rotary positions, norm, gated MLP) ─► norm ─► logits

`misc.bits.arithmetic.transformer` is the exact version. Results and parameter names are those of transformers'
LlamaForCausalLM with tied embeddings. That library takes three seconds to import and several milliseconds more for each
token.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...bits.arithmetic.transformer import Config

__all__ = ["ROTATION_BASE", "Cache", "Llama"]

ROTATION_BASE = 10000.0
DEVIATION = 0.02  # standard deviation of new weights
Turn = tuple[Tensor, Tensor]


class Cache:
    """Keys and values of the tokens so far, (B, heads, L, head width) each, for every layer."""

    def __init__(self) -> None:
        self.layers: list[tuple[Tensor, Tensor]] = []

    def __len__(self) -> int:
        """Number of tokens so far."""
        return self.layers[0][0].shape[2] if self.layers else 0

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append keys and values of further tokens to a layer's; returns all of them."""
        if layer == len(self.layers):
            self.layers.append((keys, values))
        else:
            before = self.layers[layer]
            self.layers[layer] = torch.cat([before[0], keys], 2), torch.cat([before[1], values], 2)
        return self.layers[layer]

    def select(self, rows: Tensor) -> None:
        """Keep these rows of the batch, in this order."""
        self.layers = [(keys[rows], values[rows]) for keys, values in self.layers]


class RmsNorm(nn.Module):
    """Scaling to a mean square of one, then learned gains."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(torch.ones(width)), epsilon

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) of the same."""
        floats = x.float()
        scaled = floats * torch.rsqrt(floats.pow(2).mean(-1, keepdim=True) + self.epsilon)
        return self.weight * scaled.to(x.dtype)


class Attention(nn.Module):
    """Causal attention; several query heads share one key head."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.head_width, self.shares = config.head_width, config.heads != config.kv_heads
        inner, shared = config.heads * config.head_width, config.kv_heads * config.head_width
        self.q_proj = nn.Linear(config.width, inner, bias=False)
        self.k_proj = nn.Linear(config.width, shared, bias=False)
        self.v_proj = nn.Linear(config.width, shared, bias=False)
        self.o_proj = nn.Linear(inner, config.width, bias=False)

    def forward(self, x: Tensor, turn: Turn, visible: Tensor | None, cache: Cache | None, layer: int) -> Tensor:
        """(B, L, width) of the same."""
        query, key, value = (
            part(x).unflatten(-1, (-1, self.head_width)).transpose(1, 2)
            for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = rotate(query, turn), rotate(key, turn)
        if cache is not None:
            key, value = cache.extend(layer, key, value)
        causal = visible is None and query.shape[2] > 1
        mixed = functional.scaled_dot_product_attention(
            query, key, value, visible, is_causal=causal, enable_gqa=self.shares
        )
        y: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return y


class Mlp(nn.Module):
    """Gated: silu(gate) * up."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.width, config.hidden, bias=False)
        self.up_proj = nn.Linear(config.width, config.hidden, bias=False)
        self.down_proj = nn.Linear(config.hidden, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, width) of the same."""
        y: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return y


class Layer(nn.Module):
    """Attention and MLP, normalised before each."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(config), Mlp(config)
        self.input_layernorm = RmsNorm(config.width, config.epsilon)
        self.post_attention_layernorm = RmsNorm(config.width, config.epsilon)

    def forward(self, x: Tensor, turn: Turn, visible: Tensor | None, cache: Cache | None, layer: int) -> Tensor:
        """(B, L, width) of the same."""
        x = x + self.self_attn(self.input_layernorm(x), turn, visible, cache, layer)
        y: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return y


class Body(nn.Module):
    """The network without the output layer."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocabulary, config.width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = RmsNorm(config.width, config.epsilon)

    def forward(
        self,
        embedded: Tensor,
        visible: Tensor | None = None,
        positions: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """(B, L, width) states of embeddings of the same shape.

        Args:
            visible: (B, 1, L, L) bool, the positions that each attends to; None for causal attention.
            positions: (B, L) integers; None for consecutive positions.
            cache: of the tokens before, which is extended; then L is one, or the cache is empty.
        """
        if positions is None:
            past = 0 if cache is None else len(cache)
            positions = torch.arange(past, past + embedded.shape[1], device=embedded.device)[None]
        turn = self.turn(positions, embedded.dtype)
        x = embedded
        for place, layer in enumerate(self.layers):
            x = layer(x, turn, visible, cache, place)
        states: Tensor = self.norm(x)
        return states

    def turn(self, positions: Tensor, dtype: torch.dtype) -> Turn:
        """(B, 1, L, head width) cosines and sines."""
        width = self.config.head_width
        exponents = torch.arange(0, width, 2, dtype=torch.float, device=positions.device) / width
        angles = positions[:, None, :, None].float() * (1.0 / ROTATION_BASE**exponents)
        both = torch.cat([angles, angles], -1)
        return both.cos().to(dtype), both.sin().to(dtype)


class Llama(nn.Module):
    """Logits of the next token; randomly initialised.

    Args:
        config: its sizes.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.model = Body(config)
        self.lm_head = nn.Linear(config.width, config.vocabulary, bias=False)
        self.lm_head.weight = self.model.embed_tokens.weight
        for part in self.modules():
            if isinstance(part, nn.Linear | nn.Embedding):
                nn.init.normal_(part.weight, std=DEVIATION)

    def forward(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        """(B, L, vocabulary) logits after each of (B, L) tokens."""
        logits: Tensor = self.lm_head(self.model(self.model.embed_tokens(tokens), cache=cache))
        return logits


def rotate(x: Tensor, turn: Turn) -> Tensor:
    """Rotary embedding of heads (B, heads, L, head width), first half against second."""
    first, second = x.chunk(2, -1)
    return x * turn[0] + torch.cat([-second, first], -1) * turn[1]
