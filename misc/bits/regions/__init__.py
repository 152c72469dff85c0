"""Region stream: where each item is."""
