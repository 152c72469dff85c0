"""Memory: photos from which files without pixels are drawn."""
