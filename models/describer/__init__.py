"""Describers: multimodal models that tell what is in an image."""
