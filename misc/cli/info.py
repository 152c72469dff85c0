"""`misc info` and `misc verify`: a file's content, and whether it is intact, without drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..bits.container import MAX_PIXELS
from ..bits.text.consonants import SYMBOL_BITS
from .console import Input, Json, ProfileOption, report
from .files import MAX_FILE, read_bytes
from .options import MaxPixels

if TYPE_CHECKING:
    from ..bits.container import Header
    from ..bits.regions.maps import RegionMaps
    from ..bits.text.description import Description

__all__ = ["info", "rate", "size_line", "verify"]


def info(
    source: Input,
    show_text: Annotated[
        bool, typer.Option("--text", help="decode the text even if that needs a language model")
    ] = False,
    max_pixels: MaxPixels = MAX_PIXELS,
    profile: ProfileOption = "embedded",
    as_json: Json = False,
) -> None:
    """Show what a .misc file holds."""
    from ..bits import container
    from ..bits.regions import coder as regions
    from ..bits.streams import count_items
    from ..bits.text import WEIGHTLESS, coder_of, description
    from ..profiles import load_profile, readers

    models = load_profile(profile)
    data = read_bytes(source, MAX_FILE)
    header, sections = container.read(data, max_pixels=max_pixels)
    facts: dict[str, Any] = {
        "width": header.width,
        "height": header.height,
        "bytes": len(data),
        "bpp": rate(data, header),
        "fingerprint": f"{header.fingerprint:04x}",
        "profiles": readers(header.fingerprint, profile),
        "seed": header.seed,
        "sections": {name: len(section.payload) for name, section in sections.items()},
        "overhead": len(data) - sum(len(section.payload) for section in sections.values()),
    }
    read_by = f"read by {', '.join(facts['profiles'])}" if facts["profiles"] else "read by no profile here"
    lines = [
        size_line(facts),
        f"models {facts['fingerprint']} ({read_by}), seed {facts['seed']}, overhead {facts['overhead']} bytes",
    ]
    if "text" in sections:
        payload = sections["text"].payload
        number = payload[0] if payload else 0
        coder = coder_of(number, models.text_coders)
        facts["text_coder"] = coder.name
        lines.append(f"text by {coder.name}")
    text = None
    if "text" in sections and (show_text or number in WEIGHTLESS):
        text = description.unpack(payload, models.text_coders)
        facts["text"] = description.to_json(text)
        facts |= code_facts(facts, coder.name, payload, text)
        lines += code_lines(facts)
        lines += [f"text: {text.overall}", *(f"  {item.name}: {item.detail}" for item in text.items)]
    if "regions" in sections:
        facts["regions"] = {"bits": 8 * len(sections["regions"].payload)}
        if text is not None or "text" not in sections:  # the text's items give the number of maps
            maps = regions.unpack(sections["regions"].payload, header.width, header.height, count_items(text))
            facts["regions"] |= region_facts(maps)
        lines.append(region_line(facts["regions"]))
    report(facts, as_json, *lines, to_stdout=True)


def verify(
    source: Input,
    max_pixels: MaxPixels = MAX_PIXELS,
    profile: ProfileOption = "embedded",
    as_json: Json = False,
) -> None:
    """Decode all streams of a .misc file, without drawing, and compare their checks."""
    from ..bits import container, streams
    from ..profiles import load_profile

    data = read_bytes(source, MAX_FILE)
    models = load_profile(profile)
    content = streams.decode(data, models.exact_models, max_pixels=max_pixels)
    facts: dict[str, Any] = {"width": content.width, "height": content.height, "bytes": len(data), "intact": True}
    line = f"{source}: intact"
    if content.regions is not None:
        payload = container.read(data, max_pixels=max_pixels)[1]["regions"].payload
        facts["regions"] = {"bits": 8 * len(payload)} | region_facts(content.regions)
        line += f"; {region_line(facts['regions'])}"
    report(facts, as_json, line, to_stdout=True)


def code_facts(facts: dict[str, Any], coder: str, payload: bytes, text: Description) -> dict[str, Any]:
    """The sizes of two modes as their authors count them.

    Semantic compression at micro-bits (arXiv 2402.13536) reports four bits per symbol, in millionths of a bit per
    pixel. DLSVC (2022) reports the bits of the caption and the compression ratio to raw pixels of 24 bits. Neither
    counts the rest of a file.
    """
    pixels = facts["width"] * facts["height"]
    file = {"file_bits": 8 * facts["bytes"], "file_ubpp": round(8e6 * facts["bytes"] / pixels, 2)}
    if coder == "consonants":
        bits = SYMBOL_BITS * len(text.overall)
        return {"code": {"bits": bits, "ubpp": round(1e6 * bits / pixels, 2), **file}}
    if coder == "lzw":
        bits = 8 * (len(payload) - 1)
        ratio = round(24 * pixels / bits, 1) if bits else None  # no bytes are a caption of no letters
        return {"code": {"bits": bits, "ratio": ratio, **file}}
    return {}


def code_lines(facts: dict[str, Any]) -> list[str]:
    """`code_facts` for people."""
    code = facts.get("code")
    if code is None:
        return []
    as_file = f"the file {code['file_bits']} bits, {code['file_ubpp']:.0f} ubpp"
    if "ubpp" in code:
        return [f"code {code['bits']} bits, {code['ubpp']:.0f} ubpp; {as_file}"]
    ratio = "" if code["ratio"] is None else f", 1 : {code['ratio']:,.0f} of raw 24-bit pixels"
    return [f"caption {code['bits']} bits{ratio}; {as_file}"]


def region_facts(maps: RegionMaps) -> dict[str, int]:
    items, rows, columns = maps.masks.shape
    return {"items": items, "rows": rows, "columns": columns}


def region_line(facts: dict[str, int]) -> str:
    """Facts of the region stream for people; without its grid when the text was not decoded."""
    grid = "{items} items on {rows}x{columns} cells, ".format(**facts) if "items" in facts else ""
    return f"regions: {grid}{facts['bits']} bits"


def rate(data: bytes, header: Header) -> float:
    """Bits per pixel of the whole file."""
    return round(8 * len(data) / (header.width * header.height), 6)


def size_line(facts: dict[str, Any]) -> str:
    """Size, bytes of the file and of each section, and rate, in one line."""
    sections = ", ".join(f"{name} {size}" for name, size in facts["sections"].items())
    return f"{facts['width']}x{facts['height']}, {facts['bytes']} bytes ({sections}), {facts['bpp']:.4f} bpp"
