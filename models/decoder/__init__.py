"""Draws an image from text, regions and pixels by latent diffusion."""
