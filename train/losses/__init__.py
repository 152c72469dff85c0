"""Losses of the trained parts."""
