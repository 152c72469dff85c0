"""The command line: `misc encode`, `decode`, `info`, `verify`, `roundtrip`, `describe`, `pull`, `text`.

Results go to files and standard output, everything else to standard error. Exit codes: 0 done, 1 failed, 2 usage,
3 corrupt file, 4 missing or other model.
"""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import describe_cli, info_cli, pull_cli, text_cli
from .console import Input, Json, ProfileOption, refuse_mixed_output, report, say, stepping, working
from .describe_cli import DescriberOption
from .errors import InputError, MiscError
from .files import read_bytes, write_bytes
from .info_cli import rate, size_line

if TYPE_CHECKING:
    from .bits.text.description import Description
    from .codec import Codec
    from .pictures import Picture

__all__ = ["app", "main"]

app = typer.Typer(
    name="misc",
    help="An image codec for ultra-low bitrates: text, regions and pixels in one small file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


app.add_typer(text_cli.app)
app.command()(describe_cli.describe)
app.command()(info_cli.info)
app.command()(info_cli.verify)
app.command()(pull_cli.pull)


class ModeName(StrEnum):
    """Modes of `encode`."""

    DLSVC = "dlsvc"
    MICRO = "micro"
    TEXT = "text"
    TEXT_MAP = "text+map"
    PIXEL = "pixel"
    MISC = "misc"


class FusionName(StrEnum):
    """Ways to fuse the streams."""

    REGIONAL = "regional"
    SEQUENTIAL = "sequential"


Output = Annotated[str, typer.Argument(metavar="OUT", help="a file, or - for standard output")]
ModeOption = Annotated[ModeName, typer.Option(help="which streams to write; misc is all that can be had")]
Bpp = Annotated[float | None, typer.Option(min=0, help="bits of the whole file a pixel, at most [default: 0.024]")]
Bytes = Annotated[int | None, typer.Option("--bytes", min=0, help="bytes of the whole file, at most")]
Quality = Annotated[int | None, typer.Option(min=0, max=255, help="quality of the pixel stream instead of a size")]
Describe = Annotated[str | None, typer.Option(metavar="FILE.json", help="the text: overall description and items")]
Regions = Annotated[str | None, typer.Option(metavar="FILE", help="where the items are: .json, .npy or .npz")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="of the decoder's noise, stored in the file")]
DecodeSeed = Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="of the noise, instead of the file's")]
Draft = Annotated[bool, typer.Option("--draft", help="the pixel stream's own picture, without a generator")]
Steps = Annotated[int | None, typer.Option(min=1, max=1000, help="of sampling [default: the profile's]")]
Guidance = Annotated[float | None, typer.Option(min=1, max=100, help="by the text; 1 is none [default: the profile's]")]
Strength = Annotated[
    float | None, typer.Option(min=0, max=1, help="of the noise in the pixel stream's picture [default: the profile's]")
]
Fusion = Annotated[FusionName | None, typer.Option(help="all items in one pass, or one after another as MISC did")]
Partial = Annotated[bool, typer.Option("--partial", help="accept a file that was cut at the end of a section")]


@app.command()
def encode(
    source: Input,
    target: Output,
    mode: ModeOption = ModeName.MISC,
    bpp: Bpp = None,
    max_bytes: Bytes = None,
    quality: Quality = None,
    describe: Describe = None,
    describer: DescriberOption = None,
    regions: Regions = None,
    seed: Seed = 0,
    profile: ProfileOption = "embedded",
    as_json: Json = False,
) -> None:
    """Compress a picture into a .misc file."""
    refuse_mixed_output(target, as_json)
    data, _, codec = compress(source, mode, bpp, max_bytes, quality, describe, describer, regions, seed, profile)
    write_bytes(target, data)
    facts = file_facts(data, codec)
    report(facts, as_json, f"{size_line(facts)} -> {target}")


@app.command()
def decode(
    source: Input,
    target: Output,
    seed: DecodeSeed = None,
    draft: Draft = False,
    steps: Steps = None,
    guidance: Guidance = None,
    strength: Strength = None,
    fusion: Fusion = None,
    partial: Partial = False,
    profile: ProfileOption = "embedded",
    as_json: Json = False,
) -> None:
    """Draw the picture of a .misc file (PNG, JPEG, WebP or AVIF by extension; PNG on standard output)."""
    from .codec import Codec
    from .pictures import encode_picture, format_of

    refuse_mixed_output(target, as_json)
    format_name = "PNG" if target == "-" else format_of(Path(target))
    data = read_bytes(source)
    sampling = chosen(steps=steps, guidance=guidance, strength=strength, fusion=fusion)
    with stepping("decoding") as progress:
        image = Codec(profile).decode(data, seed=seed, draft=draft, partial=partial, progress=progress, **sampling)
    write_bytes(target, encode_picture(image, format_name))
    facts = {"width": image.width, "height": image.height, "bytes": len(data)}
    report(facts, as_json, f"{image.width}x{image.height} from {len(data)} bytes -> {target}")


@app.command()
def roundtrip(
    source: Input,
    target: Annotated[str, typer.Argument(metavar="OUT.png", help="the picture as a decoder would draw it")],
    mode: ModeOption = ModeName.MISC,
    bpp: Bpp = None,
    max_bytes: Bytes = None,
    quality: Quality = None,
    describe: Describe = None,
    describer: DescriberOption = None,
    regions: Regions = None,
    seed: Seed = 0,
    draft: Draft = False,
    steps: Steps = None,
    guidance: Guidance = None,
    strength: Strength = None,
    fusion: Fusion = None,
    profile: ProfileOption = "embedded",
    as_json: Json = False,
) -> None:
    """Compress and draw again in one go, and say what was lost."""
    from .pictures import encode_picture, format_of, psnr

    refuse_mixed_output(target, as_json)
    format_name = "PNG" if target == "-" else format_of(Path(target))
    data, picture, codec = compress(source, mode, bpp, max_bytes, quality, describe, describer, regions, seed, profile)
    sampling = chosen(steps=steps, guidance=guidance, strength=strength, fusion=fusion)
    with stepping("decoding") as progress:
        image = codec.decode(data, draft=draft, progress=progress, **sampling)
    write_bytes(target, encode_picture(image, format_name))
    facts = file_facts(data, codec) | {"psnr": round(psnr(picture.image, image), 3)}
    report(facts, as_json, f"{size_line(facts)}, {facts['psnr']:.2f} dB -> {target}")


def chosen(**options: Any) -> dict[str, Any]:
    """Those options that were given."""
    return {name: str(v) if isinstance(v, StrEnum) else v for name, v in options.items() if v is not None}


def compress(
    source: str,
    mode: ModeName,
    bpp: float | None,
    max_bytes: int | None,
    quality: int | None,
    describe: str | None,
    describer: str | None,
    regions: str | None,
    seed: int,
    profile: str,
) -> tuple[bytes, Picture, Codec]:
    """The file of a picture, the picture, and the codec that made it."""
    from .codec import Codec
    from .pictures import decode_picture
    from .region_files import load_maps

    text = description_file(describe) if describe else None
    map_bytes = read_bytes(regions) if regions else None
    picture = decode_picture(read_bytes(source))
    for notice in picture.notices:
        say(notice)
    maps = None if map_bytes is None else load_maps(map_bytes, *picture.image.size)
    codec = Codec(profile)
    if mode is not ModeName.PIXEL:
        text, maps = describe_cli.seen(picture.image, mode.value, codec, text, maps, describer)
    with working("encoding"):
        data = codec.encode(
            picture.image,
            mode=mode.value,
            bpp=bpp,
            max_bytes=max_bytes,
            quality=quality,
            description=text,
            regions=maps,
            seed=seed,
        )
    return data, picture, codec


def description_file(name: str) -> Description:
    from .bits.text.description import from_json

    try:
        value = json.loads(read_bytes(name))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not JSON: {error}") from error
    return from_json(value)


def file_facts(data: bytes, codec: Codec) -> dict[str, Any]:
    from .bits import container

    file = container.read(data)
    return {
        "width": file.width,
        "height": file.height,
        "bytes": len(data),
        "bpp": rate(data, file),
        "sections": {name: len(section.payload) for name, section in file.sections()},
        "quality": file.pixels.payload[0] if file.pixels else None,
        "profile": codec.profile.name,
    }


def main() -> None:
    """Entry point: every expected failure is one sentence and an exit code."""
    try:
        app()
    except MiscError as error:
        say(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        say(f"{error.strerror or error}")
        sys.exit(1)
    except MemoryError:
        say("there is not enough memory for this picture")
        sys.exit(1)


if __name__ == "__main__":
    main()
