"""A plot with one panel per metric: lines over a common axis, and a dotted line at the value in use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["plot_panels"]

MARKERS = "osd^v"
Lines = Mapping[str, Sequence[tuple[float, float]]]  # {label: [(x, y)]}


def plot_panels(path: Path, panels: Mapping[str, Lines], x_label: str, mark: float, *, log: bool = False) -> None:
    """Write the plot; an SVG of the same figures has the same bytes.

    Args:
        path: .svg or .png.
        panels: the lines of every panel, by the label of its y axis; at most five lines each.
        mark: position of the dotted line.
        log: whether the x axis is logarithmic.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * len(panels), 3.2), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (y_label, lines) in zip(grid, panels.items(), strict=True):
        for (label, pairs), marker in zip(lines.items(), MARKERS, strict=False):
            axes.plot(*zip(*pairs, strict=True), marker=marker, markersize=4, label=label)
        axes.axvline(mark, color="k", linewidth=0.8, linestyle=":")
        axes.set_xscale("log" if log else "linear")
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.grid(visible=True, alpha=0.3)
    grid[-1].legend(fontsize=8)
    with mpl.rc_context({"svg.hashsalt": "misc", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
