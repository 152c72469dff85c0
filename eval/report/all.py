"""Write all parts of a run's report."""

from __future__ import annotations

from pathlib import Path

from ...cli.files import text_bytes, write_bytes
from .page import page
from .plots import write_plots
from .published import read_published
from .results import Results, save, write_compressai, write_csv
from .tables import tables

__all__ = ["write_report"]


def write_report(results: Results, folder: Path, published: Path | None = None, draws: int = 1000) -> None:
    """Write results.json, results.csv, json/, plots/, tables.md and report.html.

    Args:
        published: a CSV whose figures are added to the plots.
        draws: number of bootstrap samples.

    Raises:
        InputError: the CSV has another form than `published` needs, or something cannot be written.
    """
    rows = read_published(published) if published else []
    save(results, folder / "results.json")
    write_csv(results, folder / "results.csv")
    write_compressai(results, folder / "json")
    text = tables(results, draws)
    write_bytes(str(folder / "tables.md"), text_bytes(text))
    plots = write_plots(results, folder / "plots", rows)
    write_bytes(str(folder / "report.html"), text_bytes(page(results, folder, text, plots)))
