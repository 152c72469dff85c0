"""Metrics of other packages, from the entry-point group `misc.metrics`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from importlib import metadata
from typing import Any, Protocol

from PIL import Image

from ...errors import InputError

__all__ = ["GROUP", "OwnMetric", "load_own", "open_metric"]

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


def load_own(taken: Collection[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Classes of the form `OwnMetric` by their names in the group; and of the others, why they cannot be used.

    Args:
        taken: names of the built-in metrics.
    """
    usable: dict[str, Any] = {}
    reasons = {}
    for entry in metadata.entry_points(group=GROUP):
        try:
            found = entry.load()
        except Exception as error:
            reasons[entry.name] = describe(error)
            continue
        right = isinstance(getattr(found, "label", None), str) and isinstance(getattr(found, "rises", None), bool)
        if entry.name in taken:
            reasons[entry.name] = "a built-in metric has this name"
        elif right and callable(found):
            usable[entry.name] = found
        else:
            reasons[entry.name] = "it is no class with `label` and `rises`"
    return usable, reasons


def open_metric(name: str, made: Callable[[], OwnMetric]) -> Callable[[Image.Image, Image.Image], float]:
    """The function of a metric, from its class.

    Raises:
        InputError: the class, or later the function, fails.
    """
    try:
        metric = made()
    except Exception as error:
        raise InputError(f"metric {name} cannot start: {describe(error)}") from error

    def measure(original: Image.Image, image: Image.Image) -> float:
        try:
            return float(metric(original, image))
        except Exception as error:
            raise InputError(f"metric {name} failed: {describe(error)}") from error

    return measure


def describe(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]
