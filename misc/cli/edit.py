"""`misc edit`: replace a file's text, or drop streams."""

from __future__ import annotations

from typing import Annotated

import typer

from ..bits.container import MAX_PIXELS, SECTIONS
from .console import Input, Json, ProfileOption, refuse_mixed_output, report
from .encode import read_description
from .files import MAX_FILE, MISC_FILE, check_target, read_bytes, write_bytes
from .info import rate, size_line
from .options import Force, MaxPixels, Output

__all__ = ["edit"]


def edit(
    source: Input,
    target: Output,
    text: Annotated[
        str | None, typer.Option(metavar="FILE.json", help="file with the new text, as `misc describe` writes it")
    ] = None,
    drop: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help=f"streams to leave out, separated by commas: {','.join(SECTIONS)}"),
    ] = None,
    max_pixels: MaxPixels = MAX_PIXELS,
    force: Force = False,
    profile: ProfileOption = "embedded",
    as_json: Json = False,
) -> None:
    """Change the text of a .misc file or drop streams; the bytes of all other streams stay the same."""
    from ..bits import container
    from ..editing import edit_file
    from ..profiles import load_profile

    refuse_mixed_output(target, as_json)
    check_target(target, (source, text), MISC_FILE, force)
    words = None if text is None else read_description(text)
    names = () if drop is None else tuple(drop.split(","))
    models = load_profile(profile).exact_models
    data = edit_file(read_bytes(source, MAX_FILE), models, text=words, drop=names, max_pixels=max_pixels)
    write_bytes(target, data)
    header, sections = container.read(data, max_pixels=max_pixels)
    facts = {
        "width": header.width,
        "height": header.height,
        "bytes": len(data),
        "bpp": rate(data, header),
        "sections": {name: len(section.payload) for name, section in sections.items()},
    }
    report(facts, as_json, f"{size_line(facts)} -> {target}")
