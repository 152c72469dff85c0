"""The `.misc` file: a header, one section for each stream, a checksum. docs/FORMAT.md describes every byte.

    magic | version, flags | size | fingerprint | [seed] | [check of all this] | text | regions | pixels | CRC-8
                                                                                  └─ [length] payload, check

Every section but the last begins with its length. The CRC covers all bytes before it, so it detects every change of a
single byte. A section's check covers the decoded symbols, so it detects a model that decodes differently. A file of two
or more sections can be cut at a section's end; its header therefore has a check of its own.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..errors import BitstreamError, LimitError, ModelMismatchError

__all__ = [
    "MAGIC",
    "MAX_PIXELS",
    "MAX_SIDE",
    "SECTIONS",
    "Header",
    "Section",
    "check_fingerprint",
    "read",
    "symbol_check",
    "write",
]

MAGIC = 0xB5
VERSION = 1
SECTIONS = ("text", "regions", "pixels")
FINGERPRINT_BYTES = 2
CHECK_BYTES = {"text": 1, "regions": 1, "pixels": 2}
SEED_FLAG = 1 << 3
UNIT = 128
MAX_SIDE = 65_535
MAX_PIXELS = 1 << 26  # unless the user allows more
MAX_BYTES = 1 << 24
MAX_SEED = (1 << 32) - 1


@dataclass(frozen=True)
class Section:
    """A stream's bytes, and the check of its decoded symbols."""

    payload: bytes
    check: int


@dataclass(frozen=True)
class Header:
    """The part of a file before the sections.

    Attributes:
        width, height: of the image, 1 to 65,535.
        seed: of the decoder's noise, 0 to 2^32 - 1.
        fingerprint: of the exact models, 0 to 65,535.
    """

    width: int
    height: int
    seed: int
    fingerprint: int


def symbol_check(name: str, symbols: bytes) -> int:
    """Check of a section's decoded symbols: the low bytes of their CRC-32."""
    return zlib.crc32(symbols) & ((1 << 8 * CHECK_BYTES[name]) - 1)


def write(header: Header, sections: Mapping[str, Section]) -> bytes:
    """Bytes of a file; its sections by name, in any order.

    Raises:
        LimitError: the size is out of range.
    """
    if not (1 <= header.width <= MAX_SIDE and 1 <= header.height <= MAX_SIDE):
        raise LimitError(f"{header.width}x{header.height} is outside 1x1 to {MAX_SIDE}x{MAX_SIDE}")
    present = [name for name in SECTIONS if name in sections]
    flags = sum(1 << SECTIONS.index(name) for name in present) | (SEED_FLAG if header.seed else 0)
    out = bytearray([MAGIC, (VERSION - 1) << 5 | flags])
    out += varint(size_code(header.width, header.height))
    out += header.fingerprint.to_bytes(FINGERPRINT_BYTES, "big")
    if header.seed:
        out += varint(header.seed)
    if len(present) > 1:
        out.append(crc8(out, HEADER_CRC))
    for name in present:
        section = sections[name]
        if name != present[-1]:
            out += varint(len(section.payload))
        out += section.payload + section.check.to_bytes(CHECK_BYTES[name], "big")
    return bytes(out) + bytes([crc8(out, FILE_CRC)])


def read(
    data: bytes, *, fingerprints: Collection[int] = (), max_pixels: int = MAX_PIXELS, partial: bool = False
) -> tuple[Header, dict[str, Section]]:
    """Header and sections of a file, the sections by name and in its order.

    Args:
        fingerprints: of the files that the loaded models can read; if empty, every file is accepted.
        max_pixels: the largest image that is accepted.
        partial: accept a file of two or more sections whose checksum is wrong, if its header's check is right. The
            result has the sections from the first on that are complete, without the last. Compare their own checks.

    Raises:
        BitstreamError: not a MISC file, damaged, or cut.
        LimitError: larger than allowed.
        ModelMismatchError: of another version or written with other models.
    """
    if len(data) < 2 or data[0] != MAGIC:
        raise BitstreamError("this is not a MISC file")
    if len(data) > MAX_BYTES:
        raise LimitError(f"the file has more than {MAX_BYTES} bytes")
    intact = crc8(data[:-1], FILE_CRC) == data[-1]
    if not intact and not partial:
        raise BitstreamError("the file is damaged or incomplete: its checksum does not fit")
    if intact and len(data) > 2 and data[1] >> 5 != VERSION - 1:
        raise ModelMismatchError(f"the file has format version {(data[1] >> 5) + 1}; this program reads {VERSION}")
    header, names, position = read_header(data[:-1] if intact else data)
    if fingerprints and (intact or len(names) > 1):
        check_fingerprint(header, fingerprints)
    if header.width * header.height > max_pixels:
        raise LimitError(f"an image of {header.width}x{header.height} is beyond the limit of {max_pixels} pixels")
    if intact:
        try:
            return header, read_sections(data[:-1], position, names)
        except BitstreamError:
            if not partial:
                raise
    return header, read_leading_sections(data, position, names[:-1])


def has_pixels(data: bytes) -> bool:
    """Whether the header of a file, which may be cut, announces a section of pixels."""
    return bool(data[1] >> SECTIONS.index("pixels") & 1)


def check_fingerprint(header: Header, fingerprints: Collection[int]) -> None:
    """Raise ModelMismatchError if a file's fingerprint is none of those that the loaded models can read."""
    if header.fingerprint not in fingerprints:
        own = " or ".join(f"{each:04x}" for each in sorted(fingerprints))
        raise ModelMismatchError(
            f"the file was written with other models ({header.fingerprint:04x}) than these ({own}): "
            "it needs the profile that wrote it"
        )


def read_sections(body: bytes, position: int, names: Sequence[str]) -> dict[str, Section]:
    """All sections; the last one's payload reaches up to its check at the end of the body."""
    sections: dict[str, Section] = {}
    for name in names:
        sections[name], position = read_section(body, position, name, to_end=name == names[-1])
    if position != len(body):
        raise BitstreamError("the file goes on after its last section")
    return sections


def read_leading_sections(data: bytes, position: int, names: Sequence[str]) -> dict[str, Section]:
    """The complete sections of a cut file, which begin with their length; BitstreamError if there is none."""
    sections: dict[str, Section] = {}
    for name in names:
        try:
            sections[name], position = read_section(data, position, name, to_end=False)
        except BitstreamError:
            break
    if not sections:
        raise BitstreamError("the file is damaged or incomplete: no section of it is certain to be whole")
    return sections


def read_header(body: bytes) -> tuple[Header, list[str], int]:
    """The header, the names of the sections that it announces, and the position after it."""
    if len(body) < 2:
        raise BitstreamError("the file ends within its header")
    flags = body[1]
    if flags >> 4 != (VERSION - 1) << 1:
        raise BitstreamError("the file has a section or a version that this program does not know")
    names = [name for i, name in enumerate(SECTIONS) if flags >> i & 1]
    code, position = read_varint(body, 2)
    fingerprint = int.from_bytes(body[position : position + FINGERPRINT_BYTES], "big")
    position += FINGERPRINT_BYTES
    seed = 0
    if flags & SEED_FLAG:
        seed, position = read_varint(body, position)
    checked = position + (len(names) > 1)
    if checked > len(body):
        raise BitstreamError("the file ends within its header")
    if checked > position and crc8(body[:position], HEADER_CRC) != body[position]:
        raise BitstreamError("the file's header is damaged: its check does not fit")
    if seed > MAX_SEED:
        raise LimitError("the seed is beyond 32 bits")
    width, height = size_of(code)
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise LimitError(f"an image of {width}x{height} is beyond the limit of {MAX_SIDE} pixels a side")
    return Header(width, height, seed, fingerprint), names, checked


def read_section(body: bytes, position: int, name: str, *, to_end: bool) -> tuple[Section, int]:
    """The section at a position and the position after it."""
    check_bytes = CHECK_BYTES[name]
    if to_end:
        length = len(body) - position - check_bytes
    else:
        length, position = read_varint(body, position)
    end = position + length + check_bytes
    if length < 0 or end > len(body):
        raise BitstreamError(f"the {name} section is cut short")
    check = int.from_bytes(body[position + length : end], "big")
    return Section(bytes(body[position : position + length]), check), end


def varint(value: int) -> bytes:
    """LEB128: seven bits a byte, the least significant first, the top bit set in all but the last."""
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """The number at a position, at most 6 bytes long and not longer than needed, and the position after it."""
    value = 0
    for i in range(6):
        if position + i >= len(data):
            raise BitstreamError("the file ends within a number")
        byte = data[position + i]
        value |= (byte & 127) << 7 * i
        if byte < 128:
            if byte == 0 and i > 0:
                raise BitstreamError("the file holds an overlong number")
            return value, position + i + 1
    raise BitstreamError("the file holds a number that is too large")


def size_code(width: int, height: int) -> int:
    """One number for both sides; small, so one byte, for multiples of 128 up to 1024."""
    if width % UNIT == 0 and height % UNIT == 0:
        return 2 * pair(width // UNIT - 1, height // UNIT - 1)
    return 2 * pair(width - 1, height - 1) + 1


def size_of(code: int) -> tuple[int, int]:
    """Width and height of a size code."""
    a, b = unpair(code >> 1)
    return (a + 1, b + 1) if code & 1 else ((a + 1) * UNIT, (b + 1) * UNIT)


def pair(a: int, b: int) -> int:
    """Number the pairs of naturals by shells of equal maximum (Szudzik 2006)."""
    return b * b + a if a < b else a * a + a + b


def unpair(n: int) -> tuple[int, int]:
    """Inverse of pair."""
    shell = math.isqrt(n)
    rest = n - shell * shell
    return (rest, shell) if rest < shell else (shell, rest - shell)


def crc_table(polynomial: int) -> bytes:
    """Remainders of all bytes, for `crc8`; the polynomial is without its highest power."""

    def remainder(value: int) -> int:
        for _ in range(8):
            value = (value << 1) ^ (0x100 | polynomial if value & 0x80 else 0)
        return value

    return bytes(map(remainder, range(256)))


FILE_CRC = crc_table(0x07)
HEADER_CRC = crc_table(0x2F)  # another one, because the CRC of bytes followed by their own CRC is constant


def crc8(data: bytes | bytearray, table: bytes) -> int:
    """CRC-8 with start ff, not reflected."""
    crc = 0xFF
    for byte in data:
        crc = table[crc ^ byte]
    return crc
