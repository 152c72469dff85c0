"""Scripts that compute once what trainers read."""
