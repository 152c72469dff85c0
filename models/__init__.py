"""Neural parts of MISC: images to symbols, symbols to images (torch, floats, any device)."""

if __name__ != "misc.models":
    raise ImportError("this folder is the package misc.models: install the project and `import misc.models`")
