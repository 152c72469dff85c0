"""Memory: photos that files without pixels are drawn from."""
