"""A Llama-style transformer that gives the same logits, bit by bit, on every machine.

    tokens ─► embedding ─► 30 x (norm ─► attention ─► norm ─► gated MLP) ─► norm ─► logits

Only two kinds of arithmetic are used:

- Element-wise float64 operations (+, -, x, /, sqrt, rint, floor, ldexp), which IEEE 754 rounds the same everywhere.
- Sums of integers held in floats. They stay below 2^24 (float32) or 2^53 (float64), so their order does not matter.
  Every matrix product takes int8 weights, and activations rounded to integers with a power-of-two scale for each
  position. exp uses a table of integers.

So neither the number of threads, nor the batch of positions, nor the BLAS library changes a result.

A step of one position reads every weight once, so memory bandwidth limits its speed. The weights therefore stay int8.
They are converted to float32 piece by piece in a buffer that fits the processor's cache. This takes a quarter of the
memory and half the time of float32 weights. A small model also keeps them in float32. Matrices that share an input are
stored as one matrix.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .elementwise import exact_exp, round_positions, round_rows
from .exact_net import exact_matmul
from .linear import ACTIVATION_LEVELS, PIECE, SUM_LIMIT, WEIGHT_LEVELS, Linear

__all__ = ["ACTIVATION_LEVELS", "WEIGHT_LEVELS", "Cache", "Config", "Transformer"]

F64 = npt.NDArray[np.float64]

SMALL = 1 << 23  # numbers in a model whose weights are also kept in float32
NORM_LEVELS = 1 << 20
ATTENTION_LEVELS = 511  # 511 * 511 * 64 < 2^24
GAIN_BITS, ANGLE_BITS, VALUE_BITS, SHARE_BITS = 16, 14, 12, 16
VALUE_LIMIT = 1 << 24


@dataclass(frozen=True)
class Config:
    """Sizes of a model; heads share keys and values in groups.

    Attributes:
        layers: number of layers.
        width: channels of a position.
        hidden: channels inside the feed-forward layers.
        heads, kv_heads: number of heads of queries, and of keys and values.
        vocabulary: number of tokens.
        positions: largest number of tokens of a text.
        epsilon: added to the mean square in normalisation.
    """

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
        """Channels of one head."""
        return self.width // self.heads


@dataclass
class Cache:
    """Keys and values of the positions so far; the first `length` positions are filled.

    Attributes:
        keys: of each layer, (kv_heads, positions, head_width), integers in float32.
        key_scales: of each layer, (kv_heads, positions), by which the keys are multiplied.
        values: of each layer, (kv_heads, positions, head_width), integers in float64, in 2^-VALUE_BITS.
        length: number of positions so far.
    """

    keys: list[npt.NDArray[np.float32]]
    key_scales: list[F64]
    values: list[F64]
    length: int = 0

    def copy(self, room: int) -> Cache:
        """A copy with room for the given number of further positions."""

        def grow(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
            result = np.empty((len(x), self.length + room, *x.shape[2:]), x.dtype)
            result[:, : self.length] = x[:, : self.length]
            return result

        keys, scales, values = ([grow(x) for x in each] for each in (self.keys, self.key_scales, self.values))
        return Cache(keys, scales, values, self.length)


@dataclass(frozen=True)
class Layer:
    """Weights of one layer."""

    attention_gain: F64
    query_key_value: Linear
    output: Linear
    mlp_gain: F64
    gate_up: Linear
    down: Linear


def array_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays that a model of these sizes has."""
    c, kv = config, config.kv_heads * config.head_width
    matrices = {"embedding": (c.vocabulary, c.width)}
    shapes: dict[str, tuple[int, ...]] = {"final.gain": (c.width,)}
    shapes |= dict.fromkeys(("cos", "sin"), (c.positions, c.head_width // 2))
    for i in range(c.layers):
        layer = {
            "query": (c.width, c.width),
            "key": (kv, c.width),
            "value": (kv, c.width),
            "output": (c.width, c.width),
        }
        layer |= {"gate": (c.hidden, c.width), "up": (c.hidden, c.width), "down": (c.width, c.hidden)}
        matrices |= {f"layers.{i}.{name}": shape for name, shape in layer.items()}
        shapes |= {f"layers.{i}.{name}.gain": (c.width,) for name in ("attention", "mlp")}
    for name, (outputs, inputs) in matrices.items():
        shapes |= {f"{name}.weight": (outputs, inputs), f"{name}.exponent": (outputs,)}
    return shapes


class Transformer:
    """The model of integer arrays.

    Args:
        config: sizes.
        arrays: `embedding.weight`, `layers.N.{query,key,value,output,gate,up,down}.weight` as int8 with `.exponent`,
            `layers.N.{attention,mlp}.gain` and `final.gain` as int32 in units of 2^-16, `cos` and `sin`
            (positions, head width / 2) as int16 in units of 2^-14. Keys and queries rotate neighbouring pairs.

    Raises:
        KeyError, ValueError: an array is missing or of another shape.
        OverflowError: sums would not be exact.
    """

    def __init__(self, config: Config, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self.config = config
        if ATTENTION_LEVELS**2 * config.head_width > SUM_LIMIT or NORM_LEVELS**2 * config.width > 2**53:
            raise OverflowError("the model is too wide for exact sums")
        for name, shape in array_shapes(config).items():
            if arrays[name].shape != shape:
                raise ValueError(f"{name} is of shape {arrays[name].shape}, not {shape}")

        small = sum(math.prod(shape) for shape in array_shapes(config).values()) <= SMALL

        def linear(*names: str) -> Linear:
            return Linear(*((arrays[f"{name}.weight"], arrays[f"{name}.exponent"]) for name in names), whole=small)

        def gain(name: str) -> F64:
            return arrays[f"{name}.gain"].astype(np.float64) * 2.0**-GAIN_BITS

        self.embedding = arrays["embedding.weight"]
        self.head = linear("embedding")
        self.layers = [
            Layer(
                attention_gain=gain(f"layers.{i}.attention"),
                query_key_value=linear(*(f"layers.{i}.{name}" for name in ("query", "key", "value"))),
                output=linear(f"layers.{i}.output"),
                mlp_gain=gain(f"layers.{i}.mlp"),
                gate_up=linear(f"layers.{i}.gate", f"layers.{i}.up"),
                down=linear(f"layers.{i}.down"),
            )
            for i in range(config.layers)
        ]
        self.final_gain = gain("final")
        cos, sin = (arrays[name].astype(np.float64) * 2.0**-ANGLE_BITS for name in ("cos", "sin"))
        self.cos = np.repeat(cos, 2, axis=1)[:, None]  # (positions, 1, head width)
        self.sin = np.stack([-sin, sin], axis=2).reshape(self.cos.shape)

    def cache(self, positions: int | None = None) -> Cache:
        """An empty cache for the given number of positions, by default all that the model has."""
        c = self.config
        shape = (c.kv_heads, c.positions if positions is None else positions, c.head_width)
        return Cache(
            [np.empty(shape, np.float32) for _ in self.layers],
            [np.empty(shape[:2]) for _ in self.layers],
            [np.empty(shape) for _ in self.layers],
        )

    def __call__(self, tokens: npt.ArrayLike, cache: Cache) -> F64:
        """Logits (T, vocabulary) of the tokens (T,) that follow the cache, which grows by them.

        Raises:
            IndexError: there are more positions than the model or the cache has.
        """
        ids = np.asarray(tokens, np.int64)
        start, end = cache.length, cache.length + ids.size
        room = min(self.config.positions, cache.keys[0].shape[1])
        if end > room:
            raise IndexError(f"there is room for {room} positions")
        buffer = np.empty(max(PIECE, self.config.width, self.config.hidden), np.float32)
        x: F64 = self.embedding[ids].astype(np.float64) * self.head.scale[ids, None]
        for index, layer in enumerate(self.layers):
            normed = round_positions(self._norm(x, layer.attention_gain), ACTIVATION_LEVELS)
            mixed = self._attend(layer.query_key_value(*normed, buffer), index, cache, start, end)
            x += layer.output(*round_positions(mixed, ACTIVATION_LEVELS), buffer)
            normed = round_positions(self._norm(x, layer.mlp_gain), ACTIVATION_LEVELS)
            gate_up = layer.gate_up(*normed, buffer)
            gate, up = gate_up[:, : self.config.hidden], gate_up[:, self.config.hidden :]
            hidden = exact_exp(-gate)
            hidden += 1.0
            np.divide(gate, hidden, out=hidden)
            hidden *= up
            x += layer.down(*round_positions(hidden, ACTIVATION_LEVELS), buffer)
        cache.length = end
        return self.head(*round_positions(self._norm(x, self.final_gain), ACTIVATION_LEVELS), buffer)

    def _norm(self, x: F64, gain: F64) -> F64:
        """Root-mean-square normalisation; the sum of squares is one of integers."""
        integers, scale = round_positions(x, NORM_LEVELS)
        integers *= integers
        squares = np.add.reduce(integers, axis=-1, keepdims=True)
        size = np.sqrt(squares * (scale * scale) / self.config.width + self.config.epsilon)
        normed: F64 = x / size
        normed *= gain
        return normed

    def _attend(self, projected: F64, index: int, cache: Cache, start: int, end: int) -> F64:
        """Causal attention of the positions start to end over all before.

        Args:
            projected: (T, queries, keys and values of all heads).
            index: of the layer.

        Returns:
            (T, width).
        """
        c = self.config
        count, group, turning = end - start, c.heads // c.kv_heads, c.heads + c.kv_heads
        heads = projected.reshape(count, turning + c.kv_heads, -1)
        turned, scales = round_rows(self._rotate(heads[:, :turning], start), ATTENTION_LEVELS)
        turned, scales = turned.transpose(1, 0, 2), scales.transpose(1, 0, 2)
        cache.keys[index][:, start:end] = turned[c.heads :]
        cache.key_scales[index][:, start:end] = scales[c.heads :, :, 0]
        values = heads[:, turning:] * 2.0**VALUE_BITS
        np.rint(values, out=values)
        np.maximum(values, -VALUE_LIMIT, out=values)
        np.minimum(values, VALUE_LIMIT, out=values)
        cache.values[index][:, start:end] = values.transpose(1, 0, 2)
        queries = turned[: c.heads].reshape(c.kv_heads, group * count, -1)
        query_scales = scales[: c.heads].reshape(c.kv_heads, group * count, 1)
        products = exact_matmul(queries, cache.keys[index][:, :end].transpose(0, 2, 1), SUM_LIMIT)
        scores = products * query_scales
        scores *= cache.key_scales[index][:, None, :end]
        scores /= math.sqrt(c.head_width)
        if count > 1:  # a single position may attend to all of them
            visible = np.arange(end)[None, :] <= np.arange(start, end)[:, None]
            scores = np.where(np.tile(visible, (group, 1)), scores, -np.inf)
        scores -= np.maximum.reduce(scores, axis=-1, keepdims=True)
        shares = exact_exp(scores)
        shares *= 2.0**24
        np.floor(shares, out=shares)  # 0 for masked positions
        total = np.add.reduce(shares, axis=-1, keepdims=True)
        shares *= 2.0**SHARE_BITS
        shares /= total
        np.floor(shares, out=shares)
        mixed = exact_matmul(shares, cache.values[index][:, :end], float(VALUE_LIMIT << SHARE_BITS))
        mixed = mixed.reshape(c.heads, count, -1).transpose(1, 0, 2).reshape(count, -1)
        mixed *= 2.0 ** -(VALUE_BITS + SHARE_BITS)
        return mixed

    def _rotate(self, x: F64, start: int) -> F64:
        """Rotary position embedding of neighbouring pairs; x: (T, heads, head width)."""
        end = start + len(x)
        pairs = x.reshape(*x.shape[:2], -1, 2)
        turned: F64 = pairs[..., ::-1].reshape(x.shape)
        turned *= self.sin[start:end]
        turned += x * self.cos[start:end]
        return turned
