"""What is made of a finished run: results as JSON and CSV, curves, Bjontegaard tables, plots, the page."""

from .results import Point, Results, collect, load

__all__ = ["Point", "Results", "collect", "load"]
