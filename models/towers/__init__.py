"""Frozen networks that several parts share: image and text towers, the detector."""
