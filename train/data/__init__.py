"""Training data: images, texts and scenes, as batches."""
