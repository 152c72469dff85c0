"""Any command line as a codec: 'name: enc {in} {out} {bpp} / dec {in} {out}'."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from ...errors import BitstreamError, BudgetError, InputError, UsageError
from .codec import Setting

__all__ = ["Command", "parse"]

SECONDS = 3600  # time limit of a command


def parse(text: str) -> Setting:
    """The setting from `--codec-cmd`: a name, a command that encodes a PNG to a file, and one that decodes it to a PNG.

    Raises:
        UsageError: it has another form.
        InputError: a program is missing.
    """
    name, colon, rest = text.partition(":")
    encoder, slash, decoder = rest.partition(" / ")
    name, form = name.strip(), "'name: enc {in} {out} {bpp} / dec {in} {out}'"
    if not (name and colon and slash) or "/" in name or name in (".", ".."):
        raise UsageError(f"a codec by command is given as {form}, not {text!r}")
    for command, places in ((encoder, ("{in}", "{out}", "{bpp}")), (decoder, ("{in}", "{out}"))):
        lacking = next((place for place in places if place not in command), None)
        if lacking:
            raise UsageError(f"the command {command.strip()!r} of codec {name} has no {lacking}")
        try:
            program = shlex.split(command)[0]
        except ValueError as error:  # a quote that does not end
            raise UsageError(f"the command {command.strip()!r} of codec {name} cannot be read: {error}") from error
        if shutil.which(program) is None:
            raise InputError(f"codec {name} needs {program}, which is not installed")
    return Setting(name, "command", options={"encoder": encoder.strip(), "decoder": decoder.strip()})


class Command:
    """Two commands. Each gets its own files; no shell is used.

    Args:
        encoder: with {in}, a PNG, {out} and {bpp}.
        decoder: with {in}, the file that the encoder wrote, and {out}.
    """

    def __init__(self, encoder: str, decoder: str) -> None:
        self.encoder, self.decoder = encoder, decoder

    def encode(self, image: Image.Image, bpp: float) -> bytes:
        """The file that the encoder writes.

        Raises:
            InputError: it failed.
            BudgetError: its file is above the limit.
        """
        with tempfile.TemporaryDirectory() as folder:
            image.save(Path(folder) / "in.png")
            data = run(self.encoder, Path(folder) / "in.png", Path(folder) / "out.bin", bpp)
        budget = int(bpp * image.width * image.height / 8)
        if len(data) > budget:
            raise BudgetError(f"the file has {len(data)} bytes; {budget} were allowed")
        return data

    def decode(self, data: bytes) -> Image.Image:
        """The image that the decoder writes.

        Raises:
            InputError: it failed.
            BitstreamError: it wrote no image.
        """
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "in.bin").write_bytes(data)
            run(self.decoder, Path(folder) / "in.bin", Path(folder) / "out.png")
            try:
                return Image.open(Path(folder) / "out.png").convert("RGB")
            except (OSError, SyntaxError) as error:
                raise BitstreamError("the decoding command wrote no image") from error


def run(command: str, source: Path, target: Path, bpp: float | None = None) -> bytes:
    """The bytes that a command writes to its target.

    Raises:
        InputError: it failed, ran too long or wrote nothing; the message has the end of its output.
    """
    places = {"{in}": str(source), "{out}": str(target), "{bpp}": f"{bpp:.8f}" if bpp is not None else ""}
    arguments = []
    for word in shlex.split(command):
        for place, value in places.items():
            word = word.replace(place, value)  # noqa: PLW2901
        arguments.append(word)
    try:
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{arguments[0]} ran longer than {SECONDS} s") from error
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise InputError(f"{arguments[0]} failed with status {done.returncode}{f': {words[-1]}' if words else ''}")
    if not target.is_file():
        raise InputError(f"{arguments[0]} wrote no file")
    return target.read_bytes()
