"""Text stream, neural side: convert language models to integers, and use them."""
