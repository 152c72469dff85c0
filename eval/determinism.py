"""Conformance test: do files decode to the same symbols on all machines that this processor can imitate?

    misc eval determinism FILE.misc ... [--profile NAME] [--json FILE]

                  ┌─ kernels of OpenBLAS and numpy, threads ─► SHA-256 of all symbols, which must be one
    each file ────┼─ kernels of torch, threads ─────────────► draft, image: largest difference of a pixel
                  └─ the same again in a new process ───────► draft, image: equal bytes

Each machine is a process with its own settings that decodes all files. The exit code is 1 if symbols differ on any
machine, or if a second process with the same settings draws other bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from ..bits import streams
from ..cli.app import run_alone
from ..errors import InputError
from ..profiles import load_profile
from .machines import MACHINES, TORCH_MACHINES, result_on

__all__ = ["compare", "symbols_on", "verdict"]

HERE: dict[str, str] = {}  # this machine without changes

SYMBOLS = """
import hashlib, json, sys
from misc.bits import streams
from misc.profiles import load_profile
models = load_profile({profile!r}).exact_models
def digest(path):
    content = streams.decode(open(path, "rb").read(), models)
    parts = [part.symbols() for part in (content.text, content.regions, content.pixels) if part is not None]
    return hashlib.sha256(b"|".join(parts)).hexdigest()
print(json.dumps([digest(path) for path in {files!r}]))
"""
IMAGES = """
import hashlib, json, sys
import numpy as np
from misc.codec import Codec
from misc.errors import WeightsError
codec = Codec({profile!r}, device="cpu", notice=lambda _: None)
found = []
for path in {files!r}:
    data = open(path, "rb").read()
    has_pixels = codec.streams(data).pixels is not None
    images = dict(draft=codec.decode(data, draft=True)) if has_pixels else dict()
    try:
        images["image"] = codec.decode(data)
    except WeightsError:  # a profile of drafts alone, or weights that were not pulled
        pass
    for kind, image in images.items():
        pixels = np.asarray(image)
        target = {folder!r} + "/" + hashlib.sha256(pixels.tobytes()).hexdigest() + ".npy"
        np.save(target, pixels)
        found.append([path, kind, target])
print(json.dumps(found))
"""


def symbols_on(machine: dict[str, str], files: Sequence[str], profile: str) -> list[str]:
    """SHA-256 of each file's symbols, as decoded on a machine."""
    digests: list[str] = result_on(machine, SYMBOLS.format(profile=profile, files=list(files)))
    return digests


def compare(files: Sequence[str], profile: str, folder: Path) -> dict[str, Any]:
    """Differences between machines.

    Args:
        files: paths.
        folder: for images, a temporary one.

    Returns:
        {"symbols": {machine: whether all equal those of this machine}, "again": whether a second process draws the same
        bytes,
        "images": {machine: {"draft" or "image": largest difference of a channel, 0 to 255}}}
    """
    here = symbols_on(HERE, files, profile)
    symbols = {name_of(machine): symbols_on(machine, files, profile) == here for machine in MACHINES}
    script = IMAGES.format(profile=profile, files=list(files), folder=str(folder))
    first, second = result_on(HERE, script), result_on(HERE, script)
    images: dict[str, dict[str, int]] = {}
    for machine in TORCH_MACHINES:
        row = images.setdefault(name_of(machine), {})
        for (_, kind, mine), (_, _, other) in zip(first, result_on(machine, script), strict=True):
            difference = np.abs(np.load(mine).astype(int) - np.load(other).astype(int)).max()
            row[kind] = max(row.get(kind, 0), int(difference))
    return {"symbols": symbols, "again": first == second, "images": images}


def name_of(machine: dict[str, str]) -> str:
    """A machine in words."""
    return ", ".join(f"{key}={value}" for key, value in machine.items())


def verdict(result: dict[str, Any]) -> str:
    """One sentence."""
    if not all(result["symbols"].values()):
        return "symbols differ: " + "; ".join(name for name, same in result["symbols"].items() if not same)
    if not result["again"]:
        return "a second process draws other bytes"
    return "the same symbols on every machine, the same bytes in a second process"


def main(
    files: Annotated[list[Path], typer.Argument(help="files of MISC")],
    profile: str = "embedded",
    json_file: Annotated[Path | None, typer.Option("--json", help="file for the result")] = None,
) -> None:
    """Check that files decode to the same symbols on all machines that this processor can imitate."""
    import tempfile

    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        raise InputError(f"there is no file {missing[0]}")
    models = load_profile(profile).exact_models
    for path in files:
        streams.decode(path.read_bytes(), models)  # raises one sentence for a damaged file or one of other models
    with tempfile.TemporaryDirectory() as folder:
        result = compare([str(path) for path in files], profile, Path(folder))
    table = Table("machine", "symbols", "draft", "image", title=f"{len(files)} files, largest differences of 255")
    for name, same in result["symbols"].items():
        table.add_row(name, "same" if same else "DIFFERENT", "", "")
    for name, row in result["images"].items():
        table.add_row(name, "", *(str(row.get(kind, "-")) for kind in ("draft", "image")))
    console = Console()
    console.print(table)
    console.print(verdict(result))
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n")
    if not all(result["symbols"].values()) or not result["again"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_alone(main)
