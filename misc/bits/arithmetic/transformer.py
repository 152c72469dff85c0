"""A Llama-style transformer that gives the same logits, bit by bit, on every machine.

    tokens ─► embedding ─► 30 x (norm ─► attention ─► norm ─► gated MLP) ─► norm ─► logits

Two kinds of arithmetic only. Element-wise float64 operations (+, -, x, /, sqrt, rint, floor, ldexp), which IEEE 754
rounds the same everywhere. And sums, which run over integers held in floats and stay below 2^24 (float32) or 2^53
(float64), so that their order cannot matter: every matrix product takes int8 weights and activations that were
rounded to integers with a power-of-two scale for each position. exp goes by a table of integers. So neither the
number of threads nor the batch of positions nor the BLAS in use changes a result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .exact_net import exact_matmul

__all__ = ["Cache", "Config", "Transformer", "exact_exp", "round_rows"]

Floats = npt.NDArray[np.floating[Any]]
F64 = npt.NDArray[np.float64]

ACTIVATION_LEVELS = 127
WEIGHT_LEVELS = 127
SUM_LIMIT = (1 << 24) - 1
SPLIT = SUM_LIMIT // (ACTIVATION_LEVELS * WEIGHT_LEVELS)  # longest sum of int8 products that is exact in float32
NORM_LEVELS = 1 << 20
ATTENTION_LEVELS = 511  # 511 * 511 * 64 < 2^24
GAIN_BITS, ANGLE_BITS, VALUE_BITS, SHARE_BITS = 16, 14, 12, 16
VALUE_LIMIT = 1 << 24
EXP_STEPS, EXP_BITS = 4096, 40
LOG2_E = 1.4426950408889634


@dataclass(frozen=True)
class Config:
    """Sizes of a model; heads share keys and values in groups."""

    layers: int
    width: int
    hidden: int
    heads: int
    kv_heads: int
    vocabulary: int
    positions: int
    epsilon: float = 1e-5

    @property
    def head_width(self) -> int:
        return self.width // self.heads


def exp2_table() -> F64:
    """2^(i / EXP_STEPS) for i = 0 to EXP_STEPS, rounded down to EXP_BITS fraction bits; from integer square roots."""
    bits = 200
    root = 2 << bits
    for _ in range(EXP_STEPS.bit_length() - 1):
        root = math.isqrt(root << bits)
    powers = [1 << bits]
    for _ in range(EXP_STEPS):
        powers.append(powers[-1] * root >> bits)
    return np.array([power >> (bits - EXP_BITS) for power in powers], np.float64) * 2.0**-EXP_BITS


EXP2 = exp2_table()


def exact_exp(x: F64) -> F64:
    """e^x to about 4 digits, the same bits everywhere; x is taken between -700 and 700."""
    y = np.clip(x, -700.0, 700.0) * LOG2_E
    whole = np.floor(y)
    step = np.rint((y - whole) * EXP_STEPS).astype(np.int64)
    result: F64 = np.ldexp(EXP2[step], whole.astype(np.int32))
    return result


def round_rows(x: F64, levels: int) -> tuple[F64, F64]:
    """Integers q in [-levels, levels] and powers of two s, one for each last axis, with x about q * s."""
    largest = np.abs(x).max(-1, keepdims=True)
    _, exponent = np.frexp(largest / levels)
    scale = np.ldexp(1.0, exponent)
    return np.rint(x / scale), scale


class Linear:
    """x W^T with an int8 weight (outputs, inputs) and a power of two for each output."""

    def __init__(self, weight: npt.NDArray[np.int8], exponent: npt.NDArray[np.int8]) -> None:
        parts = -(-weight.shape[1] // SPLIT)
        self._parts = [part.astype(np.float32) for part in np.array_split(weight, parts, axis=1)]
        self.scale: F64 = np.ldexp(1.0, exponent.astype(np.int32))

    def __call__(self, integers: F64, scale: F64) -> F64:
        """integers: (T, inputs) in [-127, 127]; scale: (T, 1). Returns (T, outputs)."""
        columns = np.array_split(integers, len(self._parts), axis=1)
        sums = [
            exact_matmul(x, part.T, SUM_LIMIT).astype(np.float64) for x, part in zip(columns, self._parts, strict=True)
        ]
        total: F64 = sum(sums[1:], sums[0])
        return total * scale * self.scale


@dataclass
class Cache:
    """Keys and values of the positions so far."""

    keys: list[npt.NDArray[np.float32]]
    key_scales: list[F64]
    values: list[F64]
    length: int = 0

    def copy(self) -> Cache:
        return Cache(
            [x.copy() for x in self.keys],
            [x.copy() for x in self.key_scales],
            [x.copy() for x in self.values],
            self.length,
        )


@dataclass(frozen=True)
class Layer:
    """Weights of one layer."""

    attention_gain: F64
    query: Linear
    key: Linear
    value: Linear
    output: Linear
    mlp_gain: F64
    gate: Linear
    up: Linear
    down: Linear


class Transformer:
    """The model of integer arrays.

    Args:
        config: sizes.
        arrays: `embedding.weight`, `layers.N.{query,key,value,output,gate,up,down}.weight` as int8 with `.exponent`,
            `layers.N.{attention,mlp}.gain` and `final.gain` as int32 in units of 2^-16, `cos` and `sin`
            (positions, head width / 2) as int16 in units of 2^-14. Keys and queries rotate neighbouring pairs.
    """

    def __init__(self, config: Config, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self.config = config
        if ATTENTION_LEVELS**2 * config.head_width > SUM_LIMIT or NORM_LEVELS**2 * config.width > 2**53:
            raise OverflowError("the model is too wide for exact sums")

        def linear(name: str) -> Linear:
            return Linear(arrays[f"{name}.weight"], arrays[f"{name}.exponent"])

        def gain(name: str) -> F64:
            return arrays[f"{name}.gain"].astype(np.float64) * 2.0**-GAIN_BITS

        self.embedding = arrays["embedding.weight"]
        self.head = linear("embedding")
        self.layers = [
            Layer(
                attention_gain=gain(f"layers.{i}.attention"),
                query=linear(f"layers.{i}.query"),
                key=linear(f"layers.{i}.key"),
                value=linear(f"layers.{i}.value"),
                output=linear(f"layers.{i}.output"),
                mlp_gain=gain(f"layers.{i}.mlp"),
                gate=linear(f"layers.{i}.gate"),
                up=linear(f"layers.{i}.up"),
                down=linear(f"layers.{i}.down"),
            )
            for i in range(config.layers)
        ]
        self.final_gain = gain("final")
        self.cos, self.sin = (arrays[name].astype(np.float64) * 2.0**-ANGLE_BITS for name in ("cos", "sin"))

    def cache(self) -> Cache:
        """An empty cache for all positions."""
        c = self.config
        shape = (c.kv_heads, c.positions, c.head_width)
        return Cache(
            [np.zeros(shape, np.float32) for _ in self.layers],
            [np.zeros((c.kv_heads, c.positions)) for _ in self.layers],
            [np.zeros(shape) for _ in self.layers],
        )

    def __call__(self, tokens: npt.ArrayLike, cache: Cache) -> F64:
        """Logits (T, vocabulary) of the tokens (T,) that follow the cache, which grows by them.

        Raises:
            IndexError: there are more positions than the model has.
        """
        ids = np.asarray(tokens, np.int64)
        start, end = cache.length, cache.length + ids.size
        if end > self.config.positions:
            raise IndexError(f"the model has {self.config.positions} positions")
        x: F64 = self.embedding[ids].astype(np.float64) * self.head.scale[ids, None]
        for index, layer in enumerate(self.layers):
            normed = round_rows(self._norm(x, layer.attention_gain), ACTIVATION_LEVELS)
            mixed = self._attend(layer, index, normed, cache, start, end)
            x = x + layer.output(*round_rows(mixed, ACTIVATION_LEVELS))
            normed = round_rows(self._norm(x, layer.mlp_gain), ACTIVATION_LEVELS)
            gate = layer.gate(*normed)
            hidden = gate / (1.0 + exact_exp(-gate)) * layer.up(*normed)
            x = x + layer.down(*round_rows(hidden, ACTIVATION_LEVELS))
        cache.length = end
        return self.head(*round_rows(self._norm(x, self.final_gain), ACTIVATION_LEVELS))

    def _norm(self, x: F64, gain: F64) -> F64:
        """Root-mean-square normalisation; the sum of squares is one of integers."""
        integers, scale = round_rows(x, NORM_LEVELS)
        squares = (integers * integers).sum(-1, keepdims=True)
        size = np.sqrt(squares * (scale * scale) / self.config.width + self.config.epsilon)
        return np.asarray(x / size * gain)

    def _attend(self, layer: Layer, index: int, normed: tuple[F64, F64], cache: Cache, start: int, end: int) -> F64:
        """Causal attention of the positions start to end over all before; (T, width)."""
        c = self.config
        count, group = end - start, c.heads // c.kv_heads
        query = self._rotate(layer.query(*normed).reshape(count, c.heads, -1), start)
        key = self._rotate(layer.key(*normed).reshape(count, c.kv_heads, -1), start)
        value = layer.value(*normed).reshape(count, c.kv_heads, -1)
        keys, key_scales = round_rows(key.transpose(1, 0, 2), ATTENTION_LEVELS)
        cache.keys[index][:, start:end] = keys
        cache.key_scales[index][:, start:end] = key_scales[..., 0]
        values = np.clip(np.rint(value * 2.0**VALUE_BITS), -VALUE_LIMIT, VALUE_LIMIT)
        cache.values[index][:, start:end] = values.transpose(1, 0, 2)
        queries, query_scales = round_rows(query, ATTENTION_LEVELS)
        queries = queries.transpose(1, 0, 2).reshape(c.kv_heads, group * count, -1)
        query_scales = query_scales.transpose(1, 0, 2).reshape(c.kv_heads, group * count, 1)
        products = exact_matmul(queries, cache.keys[index][:, :end].transpose(0, 2, 1), SUM_LIMIT)
        scores = products.astype(np.float64) * query_scales * cache.key_scales[index][:, None, :end]
        scores = scores / math.sqrt(c.head_width)
        visible = np.arange(end)[None, :] <= np.arange(start, end)[:, None]
        scores = np.where(np.tile(visible, (group, 1)), scores, -np.inf)
        shares = np.floor(exact_exp(scores - scores.max(-1, keepdims=True)) * 2.0**24)
        shares = np.where(np.isneginf(scores), 0.0, shares)
        shares = np.floor(shares * 2.0**SHARE_BITS / shares.sum(-1, keepdims=True))
        mixed = exact_matmul(shares, cache.values[index][:, :end], float(VALUE_LIMIT << SHARE_BITS))
        mixed = mixed.reshape(c.heads, count, -1).transpose(1, 0, 2).reshape(count, -1)
        return mixed * 2.0 ** -(VALUE_BITS + SHARE_BITS)

    def _rotate(self, x: F64, start: int) -> F64:
        """Rotary position embedding of neighbouring pairs; x: (T, heads, head width)."""
        cos, sin = (table[start : start + len(x), None, :] for table in (self.cos, self.sin))
        even, odd = x[..., 0::2], x[..., 1::2]
        turned = np.stack([even * cos - odd * sin, even * sin + odd * cos], -1)
        return np.asarray(turned.reshape(x.shape))
