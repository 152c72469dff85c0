"""Pixel stream: the hyperprior's integers, and the exact model that codes them."""
