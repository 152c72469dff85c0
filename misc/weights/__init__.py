"""Weights from elsewhere: fetched, checked and unpacked as data."""
