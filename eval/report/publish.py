"""Publish a run in the repository: a summary as JSON, plots, and the README's tables with the figures of that JSON.

misc eval run KODAK --out OUT ... ─► misc eval publish OUT docs/results README.md
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...cli.files import write_bytes
from ...errors import InputError
from ..metrics.catalogue import METRICS
from ..store import OWN, write_json
from .bjontegaard import BEST
from .results import Results
from .tables import NONE, delta_text, deltas, markdown, measured_metrics, number

__all__ = ["BEGIN", "END", "SUMMARY", "publish", "summary_of", "table_of", "with_table"]

BEGIN, END = "<!-- results: `make results` writes what follows -->", "<!-- end of results -->"
SUMMARY = "summary.json"
TYPICAL = 0.024  # bits per pixel at which the README compares codecs
PLOTTED = ("st_lpips", "clip", "vit_patch")


def summary_of(results: Results, draws: int = 1000) -> dict[str, Any]:
    """Means of every codec at every rate, and Bjontegaard rates against the best classical codec, as plain values."""
    metrics = [metric.name for metric in measured_metrics(results)]
    codecs = {}
    for name, codec in results.codecs.items():
        rows = {}
        for rate in codec.rates:
            figures = {m: codec.mean(rate, m) for m in ("bpp", "bytes", *metrics, "encode_s", "decode_s")}
            known = {m: float(f"{value:.6g}") for m, value in figures.items() if not math.isnan(value)}
            rows[rate] = {**known, "photos": codec.count(rate)}
        codecs[name] = {"kind": codec.kind, "rates": rows, "failed": codec.failed, "problem": codec.problem}
    savings = deltas(results, BEST, draws) if any(c.kind == "classical" for c in results.codecs.values()) else {}
    rates = {name: {m: delta_text(delta) for m, delta in row.items()} for name, row in savings.items()}
    facts = {key: results.run[key] for key in ("photos", "seed", "versions", "rates", "seconds")}
    return {"run": facts, "codecs": codecs, "bjontegaard against best classical": rates}


def table_of(summary: Mapping[str, Any]) -> str:
    """The README's tables: every codec at the rate nearest to 0.024 bpp, and Bjontegaard rates."""
    metrics = [m for m in METRICS if any(m in row for c in summary["codecs"].values() for row in c["rates"].values())]
    rows = []
    for name, codec in summary["codecs"].items():
        if codec["rates"]:
            rate = min(codec["rates"], key=lambda r: -1 if r == OWN else abs(float(r) - TYPICAL))
            row = codec["rates"][rate]
            figures = [number(row.get(m, math.nan), METRICS[m]) for m in metrics]
            rows.append(
                [name, str(row["photos"]), f"{row['bpp']:.5f}", *figures, number(row.get("decode_s", math.nan))]
            )
    count = len(summary["run"]["photos"])
    text = f"{count} photos. For each codec, the measured rate nearest to {TYPICAL} bpp. The column *photos* says for\n"
    text += f"how many photos the codec has a file that small: compare only rows with {count}.\n\n"
    text += time_of(summary["run"]["seconds"])
    text += markdown(["codec", "photos", "bpp", *(METRICS[m].axis for m in metrics), "decode s"], rows)
    rates = summary["bjontegaard against best classical"]
    judged = [m for m in metrics if any(m in row for row in rates.values())]
    rows = [[name, *(row.get(m, NONE) for m in judged)] for name, row in rates.items()]
    rows = [row for row in rows if set(row[1:]) - {NONE}]
    if rows:
        text += f"\nBjontegaard rate against the {BEST} codec of each photo, with its 95 % confidence interval "
        text += "over photos.\nA codec is left out if it reaches fewer than four of the rates on all photos:\n\n"
        text += markdown(["codec", *(f"{METRICS[m].label} ({METRICS[m].role})" for m in judged)], rows)
    return text


def time_of(seconds: Mapping[str, float]) -> str:
    """The codecs' time for the run's files as a sentence, in minutes of one process; empty if there is none."""
    codecs = seconds.get("codecs", 0.0)
    return f"Encoding and decoding took {codecs / 60:.0f} minutes of one process.\n\n" if codecs > 0 else ""


def with_table(readme: str, table: str) -> str:
    """The README with the table between its marks.

    Raises:
        InputError: it has no such marks.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"the README has no place for results: it needs the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{table}\n{END}{after}"


def publish(results: Results, run: Path, folder: Path, readme: Path, draws: int = 1000) -> None:
    """Write the summary, copy the plots, and put the table into the README.

    Raises:
        InputError: the README has no place for the table, or there is no figure for it; then nothing is written.
    """
    summary = summary_of(results, draws)
    if not any(codec["rates"] for codec in summary["codecs"].values()):
        raise InputError(f"no codec of {run} has a file of any photo: there is nothing to publish")
    text = with_table(readme.read_text(encoding="utf-8"), table_of(json.loads(json.dumps(summary))))
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / SUMMARY, summary)
    for name in PLOTTED:
        if (run / "plots" / f"{name}.svg").is_file():
            shutil.copyfile(run / "plots" / f"{name}.svg", folder / f"{name}.svg")
    write_bytes(str(readme), text.encode())
