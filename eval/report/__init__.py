"""The report of a finished run: results as JSON and CSV, curves, Bjontegaard tables, plots, the page."""

from .results import CodecResults, Point, Results, collect, load

__all__ = ["CodecResults", "Point", "Results", "collect", "load"]
