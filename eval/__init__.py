"""Evaluation scripts, one for each measurement."""

if __name__ != "misc.eval":
    raise ImportError("this folder is the package misc.eval: install the project and `import misc.eval`")
