"""Input files are untrusted: damage is one error, and what claims gigabytes is refused before memory is taken."""

import contextlib
import io
import json
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from misc.colour import srgb_profile
from misc.errors import InputError, LimitError, MiscError
from misc.images import decode_image
from misc.maps import load_maps, read_maps
from tests.support.images import sample_picture

MEMORY = 80 << 20  # bytes that a command may take besides its libraries
FORMATS = ["AVIF", "BLP", "BMP", "DDS", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "QOI", "SGI"]
FORMATS += ["TGA", "TIFF", "WEBP"]


def saved(format_name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = sample_picture(32, 32)
    image = image.convert("P") if format_name == "BLP" else image
    image.save(buffer, format_name, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def tiff_of(width: int, height: int) -> bytes:
    image = io.BytesIO()
    Image.new("L", (8, 8)).save(image, "TIFF", compression="tiff_lzw")
    data = bytearray(image.getvalue())
    (at,) = struct.unpack_from("<I", data, 4)
    for i in range(struct.unpack_from("<H", data, at)[0]):
        tag, _, _ = struct.unpack_from("<HHI", data, at + 2 + 12 * i)
        if tag in (256, 257, 278):
            struct.pack_into("<HII", data, at + 4 + 12 * i, 4, 1, width if tag == 256 else height)
    return bytes(data)


def webp_of(width: int, height: int) -> bytes:
    data = bytearray(saved("WEBP", icc_profile=srgb_profile()))
    at = data.index(b"VP8X")
    data[at + 12 : at + 18] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(data)


@pytest.mark.parametrize("format_name", FORMATS)
def test_mutated_images_are_one_error(format_name: str) -> None:
    draw = np.random.default_rng(1)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    takes_exif = format_name in ("AVIF", "JPEG", "PNG", "TIFF", "WEBP")
    whole = saved(format_name, **({"exif": exif} if takes_exif else {}))
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for turn in range(60):
            data = bytearray(whole)
            for at in draw.integers(0, min(len(data), 200 if turn % 2 else 1 << 20), 1 + turn % 4):
                data[at] = draw.integers(256)
            data = data[: draw.integers(1, len(data))] if turn % 5 == 0 else data
            try:
                decode_image(bytes(data))
            except MiscError:
                refused += 1
    assert refused


def test_damaged_orientation_is_one_error() -> None:
    for damage in (b"MM\0*\0\0\0\x08\0\x01\x01\x12", b"II*\0\xff\xff\xff\xff", b"XX", bytes(8)):
        data = saved("JPEG", exif=b"Exif\0\0" + damage)
        with contextlib.suppress(InputError):
            decode_image(data)


@pytest.mark.parametrize("error", [KeyError("x"), ZeroDivisionError(), struct.error("s"), MemoryError()])
@pytest.mark.parametrize("step", ["load", "transpose", "convert"])
def test_whatever_pillow_raises_is_one_error(monkeypatch: pytest.MonkeyPatch, error: Exception, step: str) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    data = saved("PNG")
    place = {"load": "PIL.PngImagePlugin.PngImageFile.load", "transpose": "misc.images.ImageOps.exif_transpose"}
    monkeypatch.setattr(place.get(step, "misc.images.to_8_bits"), fail)
    if step == "transpose" and not isinstance(error, MemoryError):
        assert decode_image(data).notices == ("the EXIF data are damaged and were ignored",)
        return
    with pytest.raises(InputError, match="the image is damaged"):
        decode_image(data)


def test_no_other_program_is_started() -> None:
    with pytest.raises(InputError, match="not an image of a known format"):
        decode_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n showpage\n%%EOF\n")


BOMBS = {
    "png": (png_of(10_000, 10_000), "an image of 10000x10000 is beyond the limit of 67108864 pixels"),
    "narrow": (png_of(70_000, 1), "an image of 70000x1 is beyond the limit of 65535 pixels a side"),
    "tiff": (tiff_of(15_000, 10_000), "an image of 15000x10000 is beyond the limit of 67108864 pixels"),
    "webp": (webp_of(16_384, 16_384), "an image of 16384x16384 is beyond the limit of 67108864 pixels"),
    "huge": (png_of(60_000, 60_000), "the image has too many pixels"),
}


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_images_that_claim_gigabytes_are_refused_before_memory_is_taken(name: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    data, words = BOMBS[name]
    path.write_bytes(data)
    assert path.stat().st_size < 10_000
    script = (
        "import resource, sys\nfrom misc import cli\nfrom misc.images import decode_image\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        f"resource.setrlimit(resource.RLIMIT_AS, (used + {MEMORY}, used + {MEMORY}))\n"
        "from misc.cli.app import exit_code_of\n"
        f"sys.exit(exit_code_of(lambda: decode_image(open({str(path)!r}, 'rb').read())))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"misc: {words}\n"


def test_the_limit_is_the_callers() -> None:
    assert decode_image(saved("PNG"), max_pixels=1024).image.size == (32, 32)
    with pytest.raises(LimitError, match="32x32 is beyond the limit of 1023"):
        decode_image(saved("PNG"), max_pixels=1023)


def npy_of(shape: str, kind: str = "|b1", data: bytes = b"\x01") -> bytes:
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data


def npz_of(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        npy_of("(1000000, 1000000, 16)"),
        npy_of("(1, 2, 3)", data=bytes(5)),
        npy_of("(1, 1, 1)", "|O"),
        npy_of("(1, 1, 1)", "<U1000000000"),
        npy_of("(1, 1, 1)", "<f8", bytes(8)),
        npy_of("(-1, 1, 1)"),
        npy_of("[1]"),
        npy_of("__import__('os')"),
        npz_of(a=npy_of("(1000000, 1000000, 16)")),
        npz_of(a=b"no array"),
        npz_of(a=npy_of("(1, 1, 1)"))[:-20],
        json.dumps({"masks": [[["x" * 1_000_000]], *[[[0]]] * 10_000]}).encode(),
        json.dumps({"masks": [[[10**400]]]}).encode(),
        json.dumps({"boxes": [[[0, 0, 1, 1]] * 5000]}).encode(),
        b'{"masks": ' + b"[" * 100_000,
    ],
    ids=range(15),
)
def test_maps_that_are_none_are_one_error(data: bytes) -> None:
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(InputError):
        load_maps(data, 64, 64)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50 << 20


def test_an_archive_that_unpacks_to_gigabytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("misc.maps.MAX_UNPACKED", 1 << 20)
    bomb = npz_of(a=bytes(30 << 20))
    assert len(bomb) < 100_000
    with pytest.raises(InputError, match="more than 1048576 bytes"):
        read_maps(bomb)
    with pytest.raises(InputError, match="more than 1048576 bytes"):
        read_maps(npz_of(a=bytes(1 << 19), b=bytes(1 << 19), c=bytes(8)))


def test_maps_by_columns_are_read_too() -> None:
    masks = np.zeros((2, 8, 8), bool)
    masks[1, 2, 3:] = True
    buffer = io.BytesIO()
    np.save(buffer, np.asfortranarray(masks))
    assert np.array_equal(load_maps(buffer.getvalue(), 64, 64).masks, masks)


def test_mutated_maps_are_one_error() -> None:
    draw = np.random.default_rng(2)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.ones((1, 8, 8), np.uint8))
    for whole in (buffer.getvalue(), npy_of("(1, 8, 8)", "|u1", bytes(64))):
        for _ in range(300):
            data = bytearray(whole)
            for at in draw.integers(0, len(data), 2):
                data[at] = draw.integers(256)
            try:
                load_maps(bytes(data), 64, 64)
            except MiscError:
                continue
