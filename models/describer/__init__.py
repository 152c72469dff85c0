"""Describers: multimodal models that describe an image."""
