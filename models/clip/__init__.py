"""CLIP models that give one embedding a patch, for the locator."""
