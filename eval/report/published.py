"""Figures that others have published, from a CSV: codec, dataset, bpp, metric, value, source.

They were not measured by this project: their crops, code and versions of metrics differ. Plots show them with hollow
marks and a label. No table mixes them with measurements.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError
from ..metrics.catalogue import METRICS

__all__ = ["COLUMNS", "KNOWN", "Row", "read_published"]

KNOWN = Path(__file__).parents[2] / "docs" / "results" / "published.csv"  # of the project, in its folder alone
COLUMNS = ("codec", "dataset", "bpp", "metric", "value", "source")


@dataclass(frozen=True)
class Row:
    """One published figure; of some codecs only the rate is known, and metric and value are empty."""

    codec: str
    dataset: str
    bpp: float
    metric: str
    value: float | None
    source: str


def read_published(path: Path) -> list[Row]:
    """All rows of a CSV.

    Raises:
        InputError: it cannot be read, or a row is not of this form; a figure without a source is refused.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a CSV in UTF-8") from error
    try:
        reader = csv.DictReader(text.splitlines())
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise InputError(f"{path.name} does not have the columns {', '.join(COLUMNS)}")
        lines = list(reader)
    except csv.Error as error:
        raise InputError(f"{path.name} is not a CSV: {error}") from error
    rows = []
    for number, row in enumerate(lines, 2):
        if None in row:
            raise InputError(f"line {number} of {path.name} has more than {len(COLUMNS)} columns: quote its commas")
        try:
            value = float(row["value"]) if row["value"] else None
            made = Row(row["codec"], row["dataset"], float(row["bpp"]), row["metric"], value, row["source"])
            if not math.isfinite(made.bpp) or not math.isfinite(value or 0):
                raise ValueError
        except (TypeError, ValueError) as error:
            raise InputError(f"line {number} of {path.name} has no number where one belongs") from error
        if not made.source or not made.codec or made.bpp <= 0:
            raise InputError(f"line {number} of {path.name} lacks codec, rate or source")
        if (made.value is None) != (made.metric == "") or (made.metric and made.metric not in METRICS):
            raise InputError(f"line {number} of {path.name} has no metric of {', '.join(METRICS)}")
        rows.append(made)
    return rows
