"""Exact arithmetic that the streams share: range coder and integer networks."""
