"""CLIP models with one embedding per patch, for the locator."""
