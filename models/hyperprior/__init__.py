"""Pixel stream, neural side: an image to integer latents and back."""
