"""Rate-distortion optimised quantisation (RDOQ): symbols of the latents that are worth their bits.

    symbols ─► latents ─► draft ─► distortion ─► its slope at every latent ───┐
        └─► bits of every symbol, and of the symbols one below and one above ─┴─► changes that pay ─► symbols

Rounding gives each latent the symbol that is nearest to the analysis transform's output. Another one may cost fewer
bits, or give a better draft. From the rounded symbols on, each round estimates for all symbols what one less or one
more would change in the sum of bits and distortion: the bits from the tables, the distortion from its slope and
curvature. It makes the best changes that are not neighbours, and keeps them if the sum has become smaller. The decoder
needs to know nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ...bits.pixels.entropy_model import LatentModel
from ...bits.pixels.latents import UNIT, PixelLatents, follow, symbols_of

__all__ = ["Distortion", "optimise"]

Array = npt.NDArray[np.integer[Any]]
F64 = npt.NDArray[np.float64]
Distortion = Callable[[Tensor], Tensor]
"""Latents (1, m, h, w) to the distortion of their draft, a scalar, in bits."""

AMPLITUDE = 0.5  # of the change by which the curvature is measured, in symbols
NEIGHBOURHOOD = 3  # side of the square of positions in which a round changes one symbol


@dataclass(frozen=True, eq=False)
class State:
    """Symbols and what follows from them.

    Attributes:
        symbols: (m, h, w).
        y: (m, h, w), the latents of the symbols.
        index: (m, h, w) scale index of every symbol.
        cost: bits and distortion.
        slope: (m, h, w) change of the distortion per unit of a latent, in bits.
    """

    symbols: Array
    y: Array
    index: Array
    cost: float
    slope: F64


def optimise(start: PixelLatents, model: LatentModel, distortion: Distortion, rounds: int) -> PixelLatents:
    """Latents with a lower sum of bits and distortion, or the same ones.

    Args:
        start: latents from `latents.encode`.
        model: their entropy model.
        distortion: of latents, with gradients.
        rounds: number of sets of changes to try.
    """
    features = model.features(start.z, start.quality, (start.y.shape[1], start.y.shape[2]))
    symbols, index = symbols_of(start.y, features, model)
    state = state_of(symbols, start.y, index, model, distortion)
    curvature, share = curvature_of(state, distortion), 1.0
    for _ in range(rounds):
        changes = best_changes(state, model, curvature, share)
        if not changes.any():
            break
        symbols = state.symbols + changes
        tried = state_of(symbols, *follow(symbols, features, model), model, distortion)
        if tried.cost < state.cost:
            state, share = tried, min(1.0, 2 * share)
        elif np.abs(changes).sum() == 1:
            break
        else:
            share /= 2
    return PixelLatents(start.quality, start.z, state.y)


def state_of(symbols: Array, y: Array, index: Array, model: LatentModel, distortion: Distortion) -> State:
    """The state of symbols (m, h, w), whose latents are y and whose scale indices are known."""
    error, slope = slope_of(y, distortion)
    return State(symbols, y, index, float(model.bits(symbols, index).sum()) + error, slope)


def slope_of(latents: Array, distortion: Distortion, offset: float | F64 = 0.0) -> tuple[float, F64]:
    """Distortion of latents (m, h, w) plus an offset (m, h, w), and its slope (m, h, w) there."""
    y = torch.from_numpy(latents / UNIT + offset)[None].float().requires_grad_()
    error = distortion(y)
    return error.item(), torch.autograd.grad(error, y)[0][0].double().numpy()


def curvature_of(state: State, distortion: Distortion) -> F64:
    """(m, 1, 1) mean curvature of the distortion along each channel, by one random change (Hutchinson's estimate)."""
    signs = np.random.default_rng(0).integers(0, 2, state.slope.shape) * 2.0 - 1.0
    slope = slope_of(state.y, distortion, AMPLITUDE * signs)[1]
    diagonal = signs * (slope - state.slope) / AMPLITUDE
    return np.asarray(np.maximum(diagonal.mean((1, 2), keepdims=True), 0.0))


def best_changes(state: State, model: LatentModel, curvature: F64, share: float) -> Array:
    """Changes (m, h, w) of -1, 0 or 1: a share, 0 to 1, of those that pay, and at most one in a neighbourhood."""
    symbols, index = state.symbols, state.index
    bits = model.bits(symbols, index)
    gains = [bits - model.bits(symbols + sign, index) - sign * state.slope - curvature / 2 for sign in (-1, 1)]
    gain, sign = np.maximum(*gains), np.where(gains[0] > gains[1], -1, 1)
    channel, best = gain.argmax(0), gain.max(0)
    around = functional.max_pool2d(torch.from_numpy(best)[None], NEIGHBOURHOOD, 1, NEIGHBOURHOOD // 2)[0].numpy()
    chosen = (best >= around) & (best > 0)
    changes = np.zeros_like(symbols)
    if chosen.any():
        chosen &= best >= np.quantile(best[chosen], 1 - share)
        row, column = np.nonzero(chosen)
        channel = channel[row, column]
        changes[channel, row, column] = sign[channel, row, column]
    return changes
