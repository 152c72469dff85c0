"""The table of all modes, from the results of `misc.eval.modes`, for a terminal and for a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from ..bits.container import SECTIONS
from .metrics.catalogue import METRICS

__all__ = ["gains_line", "markdown_of", "table_of"]

REPORTED = ("st_lpips", "vit_patch", "vit_mean", "clip")  # on a page


def table_of(result: Mapping[str, Any], title: str) -> Table:
    """The summary for a terminal: {row: its means}."""
    metrics = [name for name in METRICS if any(name in row for row in result.values())]
    table = Table(
        "mode", "photos", *SECTIONS, "other", "bpp", *(METRICS[name].axis for name in metrics), "s", title=title
    )
    for name, row in result.items():
        table.add_row(name, *cells_of(row, metrics))
    return table


def markdown_of(result: Mapping[str, Any]) -> str:
    """The summary for a page, with the metrics of REPORTED."""
    titles = ["mode", "photos", *SECTIONS, "other", "bpp", *(METRICS[name].axis for name in REPORTED), "s"]
    rows = [titles, ["---"] * len(titles), *([name, *cells_of(row, REPORTED)] for name, row in result.items())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cells_of(row: Mapping[str, Any], metrics: Sequence[str]) -> list[str]:
    """Cells of a row: photos, bits of the streams and of the rest, rate, figures with standard errors, seconds."""
    if "missing" in row:
        return ["0"]
    bits = [f"{row[f'{stream}_bits']:.0f}" for stream in (*SECTIONS, "overhead")]
    figures = []
    for metric in metrics:
        error = row.get(f"{metric}_error")
        figures.append(f"{row[metric]:.3f}" + ("" if error is None else f" ± {error:.3f}"))
    return [str(row["photos"]), *bits, f"{row['bpp']:.5f}", *figures, f"{row['encode_s']:.1f} + {row['decode_s']:.1f}"]


def gains_line(step: str, gain: Mapping[str, float]) -> str:
    """The gain in similarity between two rows, for people."""
    return f"{step}: {gain['mean']:+.3f} ± {gain['error']:.3f}, least {gain['least']:+.3f}"
