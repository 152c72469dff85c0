"""Metrics of other packages, from the entry-point group `misc.metrics`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import metadata
from typing import Any, Protocol

from PIL import Image

from ...errors import InputError

__all__ = ["GROUP", "OwnMetric", "open_metric", "own_metrics", "unusable_metrics"]

GROUP = "misc.metrics"


class OwnMetric(Protocol):
    """A metric of single images. A class of this form in the entry-point group is a metric of `misc eval run`.

    Each process creates one object, without arguments.

    Attributes:
        label: for tables and axes.
        rises: whether more is better.
        unit: "dB", or nothing; optional.
        what: one sentence for the report, with the source; optional.
    """

    label: str
    rises: bool

    def __call__(self, original: Image.Image, image: Image.Image) -> float:
        """The figure of a decoded image; both images are RGB and of one size."""
        ...


def own_metrics() -> dict[str, Any]:
    """Classes of the form `OwnMetric` by their names in the group."""
    return load_group()[0]


def unusable_metrics() -> dict[str, str]:
    """For each name in the group whose class cannot be used, the reason."""
    return load_group()[1]


def open_metric(name: str) -> Callable[[Image.Image, Image.Image], float]:
    """The function of a metric in the group.

    Raises:
        InputError: the class, or later the function, fails.
    """
    try:
        metric = own_metrics()[name]()
    except Exception as error:
        raise InputError(f"metric {name} cannot start: {type(error).__name__}: {error}") from error

    def measure(original: Image.Image, image: Image.Image) -> float:
        try:
            return float(metric(original, image))
        except Exception as error:
            raise InputError(f"metric {name} failed: {type(error).__name__}: {error}") from error

    return measure


@functools.cache
def load_group() -> tuple[dict[str, Any], dict[str, str]]:
    """Usable classes, and reasons of the others."""
    usable: dict[str, Any] = {}
    reasons = {}
    for entry in metadata.entry_points(group=GROUP):
        try:
            found = entry.load()
        except Exception as error:
            reasons[entry.name] = f"{type(error).__name__}: {error}"
            continue
        right = isinstance(getattr(found, "label", None), str) and isinstance(getattr(found, "rises", None), bool)
        if right and callable(found):
            usable[entry.name] = found
        else:
            reasons[entry.name] = "it is no class with `label` and `rises`"
    return usable, reasons
