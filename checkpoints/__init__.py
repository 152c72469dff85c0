"""Weights that this project trained, as package data."""

if __name__ != "misc.checkpoints":
    raise ImportError("this folder is the package misc.checkpoints: install the project and `import misc.checkpoints`")
