"""Tables in Markdown: figures of every codec, and Bjontegaard rates against an anchor."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..metrics.catalogue import METRICS, Metric
from .bjontegaard import BEST, Delta, delta_of, figures_of
from .results import Results

__all__ = ["ANCHORS", "NONE", "delta_text", "deltas", "means_table", "measured_metrics", "rate_table", "tables"]

ANCHORS = (BEST, "avif/4+x4plus")
NONE = "–"  # shown if there is no figure


def measured_metrics(results: Results) -> list[Metric]:
    """Metrics with figures of at least one codec."""
    return [
        metric
        for name, metric in METRICS.items()
        if any(not math.isnan(codec.mean(rate, name)) for codec in results.codecs.values() for rate in codec.rates)
    ]


def means_table(results: Results) -> str:
    """Every codec at every rate, means over the photos that it has a file of; their number is a column."""
    metrics = measured_metrics(results)
    head = ["codec", "photos", "µbpp", "bits", *(metric.axis for metric in metrics), "encode s", "decode s"]
    rows = []
    for name, codec in results.codecs.items():
        for rate in codec.rates:
            bits = " + ".join(f"{value:.0f} {part}" for part, value in codec.bits(rate).items())
            rows.append(
                [
                    name,
                    str(codec.count(rate)),
                    f"{1e6 * codec.mean(rate, 'bpp'):.0f}",
                    bits,
                    *(number(codec.mean(rate, metric.name), metric) for metric in metrics),
                    *(number(codec.mean(rate, each)) for each in ("encode_s", "decode_s")),
                ]
            )
    return markdown(head, rows)


def deltas(results: Results, anchor: str, draws: int = 1000) -> dict[str, dict[str, Delta | None]]:
    """{codec: {metric: Bjontegaard rate against the anchor}} of codecs with several rates."""
    metrics = [metric for metric in measured_metrics(results) if not metric.of_set]
    anchors = {metric.name: figures_of(results, anchor, metric.name) for metric in metrics}
    rows = {}
    for name, codec in results.codecs.items():
        if name != anchor and len(codec.rates) > 1:
            pairs = {m.name: (anchors[m.name], figures_of(results, name, m.name)) for m in metrics}
            rows[name] = {metric: delta_of(*pair, metric, draws) for metric, pair in pairs.items()}
    return rows


def rate_table(results: Results, anchor: str, draws: int = 1000) -> str:
    """Bjontegaard rates against an anchor, with their intervals."""
    metrics = [metric for metric in measured_metrics(results) if not metric.of_set]
    head = ["codec", *(f"{metric.label} ({metric.role})" for metric in metrics)]
    rows = [
        [name, *(delta_text(each) for each in row.values())] for name, row in deltas(results, anchor, draws).items()
    ]
    return markdown(head, rows)


def delta_text(delta: Delta | None) -> str:
    """A delta for people."""
    if delta is None:
        return NONE
    interval = "" if delta.low is None else f" [{delta.low:+.0f}, {delta.high:+.0f}]"
    return f"{delta.percent:+.1f} %{interval}"


def number(value: float, metric: Metric | None = None) -> str:
    """A figure for people."""
    if math.isnan(value):
        return NONE
    return f"{value:.2f}" if metric is None or metric.unit or metric.of_set else f"{value:.4f}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def reasons(results: Results) -> list[str]:
    """One line for every metric that could not run and every codec and photo that failed."""
    notes: dict[str, None] = {}
    for name, codec in results.codecs.items():
        if codec.problem:
            notes[f"{name} did not run: {codec.problem}"] = None
        for photo, problem in codec.failed.items():
            notes[f"{name}, {photo}: {problem}"] = None
        for by_rate in codec.points.values():
            for point in by_rate.values():
                for metric, reason in point.missing.items():
                    notes[f"{METRICS[metric].label} is missing: {reason}"] = None
        if codec.none:
            count = sum(len(by_rate) for by_rate in codec.none.values())
            notes[f"{name} has no file as small as demanded in {count} cases"] = None
    return list(notes)


def tables(results: Results, draws: int = 1000) -> str:
    """All tables of a run."""
    parts = [f"# {len(results.run['photos'])} photos\n", means_table(results)]
    for anchor in ANCHORS:
        if anchor in results.codecs or (anchor == BEST and any(c.kind == "classical" for c in results.codecs.values())):
            parts.append(f"\n## Bjontegaard rate against {anchor}, and its interval of 95 % over photos\n")
            parts.append(rate_table(results, anchor, draws))
    missing = reasons(results)
    if missing:
        parts += ["\n## What is missing\n", "\n".join(f"- {line}" for line in missing) + "\n"]
    return "\n".join(parts)
