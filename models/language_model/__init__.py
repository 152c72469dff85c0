"""Text stream, neural side: language models to integers, and what they are used for."""
