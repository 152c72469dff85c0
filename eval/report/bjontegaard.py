"""Bjontegaard deltas of the rate, with bootstrap intervals over the photos.

The curve of a codec goes through the means of rate and figure over the photos, at every rate that all photos have. An
interval comes from resampling the photos with replacement: it shows how much the delta depends on the choice of photos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import bjontegaard
import numpy as np

from ..metrics.catalogue import METRICS
from .results import Results

__all__ = ["BEST", "Delta", "curve_of", "delta_of", "figures_of", "rate_difference"]

BEST = "best classical"
DRAWS, LEVEL = 1000, 95
LEAST_POINTS = 4

Figures = Mapping[str, Mapping[str, tuple[float, float]]]  # {photo: {rate: (bpp, value)}}


@dataclass(frozen=True)
class Delta:
    """A Bjontegaard rate in percent, negative if the test needs fewer bits, and its 95 percent interval."""

    percent: float
    low: float | None
    high: float | None
    photos: int


def figures_of(results: Results, name: str, metric: str) -> Figures:
    """Rates and values of a codec by photo.

    `best classical` is, for each photo, rate and metric, the best of all classical files within that rate. This
    baseline may choose format and size by the metric with which it is measured.
    """
    if name != BEST:
        points = results.codecs[name].points
        return {
            photo: {r: (p.bpp, p.values[metric]) for r, p in by_rate.items() if metric in p.values}
            for photo, by_rate in points.items()
        }
    classical = [figures_of(results, n, metric) for n, codec in results.codecs.items() if codec.kind == "classical"]
    labels = sorted({r for each in classical for by_rate in each.values() for r in by_rate}, key=float)
    best: dict[str, dict[str, tuple[float, float]]] = {}
    for photo in results.run["photos"]:
        for label in labels:
            within = [
                pair for each in classical for rate, pair in each.get(photo, {}).items() if float(rate) <= float(label)
            ]
            if within:
                sign = -1 if METRICS[metric].rises else 1
                best.setdefault(photo, {})[label] = min(within, key=lambda pair: (sign * pair[1], pair[0]))
    return best


def curve_of(figures: Figures, photos: Sequence[str] | None = None) -> list[tuple[float, float]]:
    """(mean bpp, mean value) at every rate that all of these photos have, from low to high."""
    rows = [figures[photo] for photo in (figures if photos is None else photos)]
    common = set.intersection(*(set(row) for row in rows)) if rows else set()
    means = [np.mean([row[rate] for row in rows], axis=0) for rate in common]
    return sorted((float(bpp), float(value)) for bpp, value in means)


def delta_of(anchor: Figures, test: Figures, metric: str, draws: int = DRAWS, seed: int = 0) -> Delta | None:
    """The percentage of additional bits of the test against the anchor for the same figure, on their common photos.

    None if one of them has fewer than four rates, or if their ranges of figures do not overlap.
    """
    photos = [photo for photo in anchor if photo in test and anchor[photo] and test[photo]]
    if not photos:
        return None
    percent = rate_difference(curve_of(anchor, photos), curve_of(test, photos), METRICS[metric].rises)
    if percent is None:
        return None
    draw = np.random.default_rng(seed)
    values = []
    for _ in range(draws if len(photos) > 1 else 0):
        some = [photos[k] for k in draw.integers(0, len(photos), len(photos))]
        value = rate_difference(curve_of(anchor, some), curve_of(test, some), METRICS[metric].rises)
        if value is not None:
            values.append(value)
    if len(values) < draws / 2 or not values:
        return Delta(percent, None, None, len(photos))
    low, high = np.percentile(values, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return Delta(percent, float(low), float(high), len(photos))


def rate_difference(
    anchor: Sequence[tuple[float, float]], test: Sequence[tuple[float, float]], rises: bool
) -> float | None:
    """Bjontegaard rate in percent by Akima interpolation, over the common range of figures of the rising curves."""
    sign = 1 if rises else -1
    a, t = (rising_points([(rate, sign * value) for rate, value in points]) for points in (anchor, test))
    if min(len(a), len(t)) < LEAST_POINTS or a[-1][1] <= t[0][1] or t[-1][1] <= a[0][1]:
        return None
    columns = [list(column) for points in (a, t) for column in zip(*points, strict=True)]
    result = bjontegaard.bd_rate(*columns, method="akima", require_matching_points=False, min_overlap=0)
    return float(result)


def rising_points(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points of a curve that are better than all points at lower rates."""
    kept: list[tuple[float, float]] = []
    for point in sorted(points):
        if not kept or (point[1] > kept[-1][1] and point[0] > kept[-1][0]):
            kept.append(point)
    return kept
