"""Rate-distortion plots, one per metric, as PNG and SVG, with the rate in log µbpp."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from ...cli.files import write_bytes
from ..metrics.catalogue import METRICS, Metric
from .published import Row
from .results import Results
from .tables import measured_metrics

__all__ = ["draw", "write_plots"]

STYLES = {"misc": "-", "classical": ":", "upsampled": "--", "neural": "-.", "command": "-.", "class": "-."}
SIZE, DPI = (8.0, 5.0), 120
DETERMINISTIC = {"svg.hashsalt": "misc", "svg.fonttype": "none"}


def draw(results: Results, metric: Metric, published: list[Row]) -> Figure:
    """The plot of one metric; published figures have hollow marks and a label."""
    figure = Figure(figsize=SIZE, layout="constrained")
    axes: Any = figure.add_subplot()
    colours = [*mpl.colormaps["tab20"].colors]
    for number, (name, codec) in enumerate(results.codecs.items()):
        pairs = [(1e6 * codec.mean(rate, "bpp"), codec.mean(rate, metric.name)) for rate in codec.rates]
        pairs = [pair for pair in pairs if not math.isnan(pair[1])]
        if pairs:
            style, colour = STYLES.get(codec.kind, "-"), colours[number % len(colours)]
            axes.plot(*zip(*pairs, strict=True), style, marker="o", markersize=4, color=colour, label=name)
    for row in published:
        if row.metric == metric.name and row.value is not None:
            axes.plot([1e6 * row.bpp], [row.value], marker="D", markerfacecolor="none", linestyle="none", color="k")
            axes.annotate(f"{row.codec} (published, {row.dataset})", (1e6 * row.bpp, row.value), fontsize=7)
    axes.set_xscale("log")
    axes.set_xlabel("µbpp: millionths of a bit per pixel, whole files")
    axes.set_ylabel(metric.axis)
    axes.set_title(f"{metric.label}, {len(results.run['photos'])} photos ({metric.role})")
    axes.grid(visible=True, which="both", alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside right upper", fontsize=7)
    return figure


def write_plots(results: Results, folder: Path, published: list[Row]) -> dict[str, str]:
    """PNG and SVG of every metric that has figures; {metric: SVG} for the page."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [metric.name for metric in measured_metrics(results)]
    names += [name for name in METRICS if name not in names and any(row.metric == name for row in published)]
    plots = {}
    with mpl.rc_context(DETERMINISTIC):
        for name in names:
            figure = draw(results, METRICS[name], published)
            for ending in ("png", "svg"):
                buffer = io.BytesIO()
                figure.savefig(buffer, format=ending, dpi=DPI, metadata={"Date": None} if ending == "svg" else None)
                write_bytes(str(folder / f"{name}.{ending}"), buffer.getvalue())
            plots[name] = (folder / f"{name}.svg").read_text()
    return plots
