"""Training scripts, one for each trained part."""

if __name__ != "misc.train":
    raise ImportError("this folder is the package misc.train: install the project and `import misc.train`")
